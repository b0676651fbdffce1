"""What every store promises, whatever is behind it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.stores.keys import check_key
from pipeline.errors import AlreadyExistsError, NotFoundError
from pipeline.ports import Store
from pipeline.probe import PROBE_FOLDER, probe_create_only

ILLEGAL = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "../a",
    "a/../b",
    "a/./b",
    ".",
    "..",
    "a\0b",
    "a\nb",
    "\ud800",
    "x" * 256,
    "y/" * 600,
)

EVERY_EXAMPLE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SEGMENT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)


def _legal(key: str) -> bool:
    """Whether stores take this key; backslashes and odd spaces are legal too."""
    try:
        check_key(key)
    except ValueError:
        return False
    return True


def _flat(keys: list[str]) -> list[str]:
    """Without the keys that are a folder of another one, which file systems cannot hold."""
    return [key for key in keys if not any(other.startswith(f"{key}/") for other in keys)]


KEYS = (
    st.lists(
        st.lists(SEGMENT, min_size=1, max_size=3).map("/".join).filter(_legal), min_size=1, max_size=8, unique=True
    )
    .map(_flat)
    .filter(bool)
)


def _clear(store: Store) -> None:
    """Empty the store between Hypothesis' examples."""
    for found in list(store.list("")):
        store.delete(found.key)


def test_what_is_put_is_got(store: Store) -> None:
    """The bytes come back unchanged, empty ones too."""
    for body in (b"", b"picture", bytes(range(256)) * 5000):
        store.put("images/ab/abc.png", body)
        assert store.get("images/ab/abc.png") == body


def test_what_is_not_there_is_not_found(store: Store, tmp_path: Path) -> None:
    """A missing object raises on reading, is None to head, and may be deleted."""
    store.put("a/b/c", b"x")
    for key in ("nothing", "a", "a/b", "a/b/c/d"):
        with pytest.raises(NotFoundError, match=key):
            store.get(key)
        with pytest.raises(NotFoundError):
            store.download(key, str(tmp_path / "got"))
        assert store.head(key) is None
    store.delete("nothing")
    assert list(tmp_path.rglob("*got*")) == []
    assert store.get("a/b/c") == b"x"


def test_overwriting_replaces_content_and_etag(store: Store) -> None:
    """The last put holds, and its ETag differs from the one before."""
    first = store.put("k", b"1")
    second = store.put("k", b"2")
    assert store.get("k") == b"2"
    assert first != second


def test_etag_is_the_same_by_put_head_and_list(store: Store) -> None:
    """One object has one ETag, whoever tells it."""
    etag = store.put("a/k", b"body")
    found = store.head("a/k")
    assert found is not None
    assert found.etag == etag
    assert [item.etag for item in store.list("a/")] == [etag]


def test_head_tells_size_and_time(store: Store) -> None:
    """Size is in bytes; time is aware UTC, and near now."""
    before = datetime.now(UTC)
    store.put("k", b"12345")
    found = store.head("k")
    assert found is not None
    assert (found.key, found.size_bytes) == ("k", 5)
    assert found.modified_at.utcoffset() == timedelta(0)
    assert abs(found.modified_at - before) < timedelta(minutes=5)


def test_create_refuses_a_taken_key_or_the_probe_says_so(store: Store) -> None:
    """Either a second create is refused and changes nothing, or the probe has warned."""
    store.put("k", b"first", mode="create")
    if probe_create_only(store):
        with pytest.raises(AlreadyExistsError):
            store.put("k", b"second", mode="create")
        assert store.get("k") == b"first"
    else:
        store.put("k", b"second", mode="create")
        assert store.get("k") == b"second"


def test_probe_leaves_nothing_behind(store: Store) -> None:
    """The probe's key is gone afterwards."""
    probe_create_only(store)
    assert list(store.list("")) == []
    assert list(store.list_folders(PROBE_FOLDER)) == []


def test_conditional_put_overwrites_only_its_etag(honest_store: Store) -> None:
    """Compare and swap: the known ETag passes, an old one and a missing object do not."""
    first = honest_store.put("lease", b"1")
    second = honest_store.put("lease", b"2", if_match=first)
    with pytest.raises(AlreadyExistsError):
        honest_store.put("lease", b"3", if_match=first)
    assert honest_store.get("lease") == b"2"
    with pytest.raises(AlreadyExistsError):
        honest_store.put("other", b"3", if_match=second)
    assert honest_store.head("other") is None


def test_create_and_if_match_exclude_each_other(store: Store) -> None:
    """Asking for both is a mistake of the caller."""
    with pytest.raises(ValueError, match="not both"):
        store.put("k", b"", mode="create", if_match="x")


def test_a_batch_is_all_there(store: Store) -> None:
    """Every object of a batch is there on return, also over older ones; an empty batch is fine."""
    bodies = {f"images/{n % 7:02x}/{n}.png": str(n).encode() for n in range(40)}
    store.put_batch({})
    store.put_batch({"images/00/0.png": b"old"})
    store.put_batch(bodies)
    assert {key: store.get(key) for key in bodies} == bodies
    assert len(list(store.list("images/"))) == 40


@pytest.mark.parametrize("size", [0, 3, 70 * 2**20])
def test_files_travel_both_ways(store: Store, tmp_path: Path, size: int) -> None:
    """Upload and download give the same file, large ones too, and leave nothing beside it."""
    source, target = tmp_path / "source.bin", tmp_path / "new" / "folder" / "target.bin"
    source.write_bytes(bytes(size // 2) + b"\1" * (size - size // 2))
    store.upload("models/weights.bin", str(source))
    store.download("models/weights.bin", str(target))
    assert target.read_bytes() == source.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["target.bin"]
    found = store.head("models/weights.bin")
    assert found is not None
    assert found.size_bytes == size


def test_upload_of_a_missing_file_is_the_callers_error(store: Store, tmp_path: Path) -> None:
    """A local file that is not there says nothing about the store."""
    with pytest.raises(FileNotFoundError):
        store.upload("k", str(tmp_path / "none"))
    assert store.head("k") is None


def test_deleted_objects_are_gone(store: Store) -> None:
    """Delete removes one object, and deleting again is no error."""
    store.put("a/b/k", b"")
    store.put("a/b2", b"")
    store.delete("a/b/k")
    store.delete("a/b/k")
    assert [found.key for found in store.list("")] == ["a/b2"]
    assert list(store.list_folders("a/")) == []
    store.put("a/b/k", b"again")
    assert store.get("a/b/k") == b"again"


def test_listing_is_in_byte_order_across_folders(store: Store) -> None:
    """`a-b` and `a.b` sort before `a/x`, `a0` after it: the order is of whole keys, not of folder trees."""
    keys = ["a/x", "a-b", "a.b/1", "a0", "a/b/c", "B", "é", "\uffff", "\U0001f600"]
    for key in keys:
        store.put(key, key.encode())
    listed = list(store.list(""))
    assert [found.key for found in listed] == sorted(keys, key=str.encode)
    assert [found.size_bytes for found in listed] == [len(found.key.encode()) for found in listed]


def test_listing_obeys_prefix_and_start_after(store: Store) -> None:
    """A prefix may end within a name; `start_after` need not exist."""
    for key in ("a/1", "a/2/x", "a/2/y", "a/3", "a2", "b/1"):
        store.put(key, b"")

    def keys(prefix: str, start_after: str = "") -> list[str]:
        return [found.key for found in store.list(prefix, start_after=start_after)]

    assert keys("a/") == ["a/1", "a/2/x", "a/2/y", "a/3"]
    assert keys("a") == ["a/1", "a/2/x", "a/2/y", "a/3", "a2"]
    assert keys("a/2") == ["a/2/x", "a/2/y"]
    assert keys("a/", "a/2/x") == ["a/2/y", "a/3"]
    assert keys("a/", "a/2/") == ["a/2/x", "a/2/y", "a/3"]
    assert keys("", "a/2a") == ["a/3", "a2", "b/1"]
    assert keys("a/", "b") == []
    assert keys("c/") == []


def test_a_listing_longer_than_a_page_is_complete(store: Store) -> None:
    """S3 lists a thousand keys at a time; nobody notices."""
    store.put_batch({f"jobs/j/records/{n:05d}.json": b"" for n in range(1100)})
    assert [found.key for found in store.list("jobs/j/")] == [f"jobs/j/records/{n:05d}.json" for n in range(1100)]


def test_folders_are_listed_once_and_sorted(store: Store) -> None:
    """The next segments under a prefix, with their slash; objects are no folders."""
    for key in ("jobs/b/job.json", "jobs/b/records/1", "jobs/b-2/job.json", "jobs/a/x/y", "jobs/file", "images/1"):
        store.put(key, b"")
    assert list(store.list_folders("jobs/")) == ["a/", "b-2/", "b/"]
    assert list(store.list_folders("")) == ["images/", "jobs/"]
    assert list(store.list_folders("jobs/a/x/")) == []
    assert list(store.list_folders("none/")) == []


@pytest.mark.parametrize("key", ILLEGAL)
def test_illegal_keys_are_refused(store: Store, key: str, tmp_path: Path) -> None:
    """No key leaves the store, and what one store refuses all refuse."""
    (tmp_path / "file").write_bytes(b"")
    for call in (
        lambda: store.get(key),
        lambda: store.put(key, b""),
        lambda: store.put_batch({"fine": b"", key: b""}),
        lambda: store.head(key),
        lambda: store.delete(key),
        lambda: store.download(key, str(tmp_path / "got")),
        lambda: store.upload(key, str(tmp_path / "file")),
    ):
        with pytest.raises(ValueError, match="no store key"):
            call()
    assert list(store.list("")) == []


@pytest.mark.parametrize("prefix", ["/", "a//", "../", "a/../", "a\0"])
def test_illegal_prefixes_are_refused(store: Store, prefix: str) -> None:
    """Listing does not leave the store either."""
    with pytest.raises(ValueError, match="no prefix"):
        list(store.list(prefix))
    with pytest.raises(ValueError, match=r"no prefix|no folder"):
        list(store.list_folders(prefix))


def test_a_folder_prefix_ends_with_a_slash(store: Store) -> None:
    """`jobs` without a slash is a mistake, not an empty answer."""
    with pytest.raises(ValueError, match="must end with"):
        list(store.list_folders("jobs"))


@EVERY_EXAMPLE
@given(keys=KEYS, body=st.binary(max_size=64))
def test_any_legal_keys_are_listed_in_order_and_read_back(store: Store, keys: list[str], body: bytes) -> None:
    """For every set of legal keys: list is sorted(keys) by bytes, and get gives what was put."""
    _clear(store)
    bodies = {key: body + key.encode() for key in keys}
    store.put_batch(bodies)
    assert [found.key for found in store.list("")] == sorted(keys, key=str.encode)
    assert {key: store.get(key) for key in keys} == bodies


@EVERY_EXAMPLE
@given(keys=KEYS, data=st.data())
def test_any_page_of_a_listing_is_a_slice_of_the_whole(
    honest_store: Store, keys: list[str], data: st.DataObject
) -> None:
    """For every prefix and start: what is listed is what the definition says."""
    _clear(honest_store)
    honest_store.put_batch(dict.fromkeys(keys, b""))
    whole = data.draw(st.sampled_from(keys))
    prefix = whole[: data.draw(st.integers(0, len(whole)))]
    after = data.draw(st.sampled_from(keys))
    expected = [key for key in sorted(keys, key=str.encode) if key.startswith(prefix) and key > after]
    assert [found.key for found in honest_store.list(prefix, start_after=after)] == expected
