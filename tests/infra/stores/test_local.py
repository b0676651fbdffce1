"""What only a store on disk has: hidden files, failing disks, folders that are not ours."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from infra.stores.disk_errors import disk_errors
from infra.stores.disk_files import HIDDEN
from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from pipeline.errors import AlreadyExistsError, StoreRefusedError, StoreUnavailableError

DAY = 86_400


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store stands."""
    return tmp_path / "store"


def test_hidden_files_are_never_listed(root: Path) -> None:
    """The folder for incomplete files holds no objects and is no folder of the store."""
    store = LocalStore(str(root))
    store.put("k", b"x")
    (root / HIDDEN).mkdir()
    (root / HIDDEN / ("0" * 32)).write_bytes(b"half")
    assert [found.key for found in store.list("")] == ["k"]
    assert [found.key for found in store.list(".")] == []
    assert list(store.list_folders("")) == []


def test_hidden_folder_is_no_place_for_objects(root: Path) -> None:
    """A key cannot reach into it."""
    with pytest.raises(ValueError, match="the store's own"):
        LocalStore(str(root)).put(f"{HIDDEN}/x", b"")


def test_nothing_is_left_of_the_hidden_folder(root: Path) -> None:
    """Every way of writing takes its files away, refused ones too; the next plain put or delete takes the folder."""
    store = LocalStore(str(root))
    etag = store.put("k", b"x", mode="create")
    store.put("k", b"y", if_match=etag)
    store.put_batch({"a": b"", "b/c": b""})
    with pytest.raises(AlreadyExistsError):
        store.put("k", b"z", if_match=etag)
    with pytest.raises(StoreRefusedError):
        store.put("a/b", b"")
    with pytest.raises(StoreRefusedError):
        store.put_batch({"n1": b"", "a/b": b"", "n2": b""})
    assert list((root / HIDDEN).iterdir()) == []
    store.put("k", b"last")
    assert not (root / HIDDEN).exists()
    store.put("new", b"", mode="create")
    store.delete("new")
    assert not (root / HIDDEN).exists()


def test_writes_although_others_keep_tidying_the_hidden_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer with nothing left in the folder removes it at any moment; that is no failure of the store."""
    store, open_file, times = LocalStore(str(root)), os.open, iter(range(9))

    def open_late(path: str, flags: int, mode: int = 0o777) -> int:
        if HIDDEN in path and next(times, None) is not None and (root / HIDDEN).exists():
            (root / HIDDEN).rmdir()
        return open_file(path, flags, mode)

    monkeypatch.setattr(os, "open", open_late)
    store.put("k", b"x")
    assert (store.get("k"), next(times, None)) == (b"x", None)


def test_only_stale_files_of_dead_processes_are_swept(root: Path) -> None:
    """A day-old file of ours goes on the next write; a young one and a foreign one stay."""
    hidden = root / HIDDEN
    hidden.mkdir(parents=True)
    old, young, foreign = hidden / ("a" * 32), hidden / ("b" * 32), hidden / "notes.txt"
    now = 1_800_000_000
    for path, age in ((old, DAY + 60), (young, DAY - 60), (foreign, 9 * DAY)):
        path.write_bytes(b"")
        os.utime(path, (now - age, now - age))
    LocalStore(str(root), now=lambda: now).put("k", b"")
    assert not old.exists()
    assert young.exists()
    assert foreign.exists()


def test_folders_removed_by_hand_are_made_again(root: Path) -> None:
    """A tidy user does not stop the job."""
    store = LocalStore(str(root))
    store.put("a/k", b"1")
    (root / "a" / "k").unlink()
    (root / "a").rmdir()
    store.put("a/k", b"2")
    store.put_batch({"a/k2": b"", "c/k": b""})
    assert store.get("a/k") == b"2"


def test_etags_differ_though_inode_and_size_are_the_same(root: Path) -> None:
    """Many contents of one size in a row: no two neighbours share an ETag, whatever the disk's clock does."""
    store = LocalStore(str(root))
    etags = [store.put("k", str(n % 10).encode()) for n in range(200)]
    assert len(set(etags)) == len(etags)


def test_a_file_where_a_folder_is_needed_is_refused(root: Path) -> None:
    """File systems cannot hold `a` and `a/b`; the message names the place."""
    store = LocalStore(str(root))
    store.put("a", b"")
    with pytest.raises(StoreRefusedError, match=f"{root}/a.*a file stands where a folder is needed"):
        store.put("a/b", b"")
    store.put("b/c", b"")
    with pytest.raises(StoreRefusedError, match="a folder stands where a file is needed"):
        store.put("b", b"")


def test_foreign_names_are_left_out(root: Path) -> None:
    """Names that are no UTF-8, sockets and dangling links are no objects."""
    store = LocalStore(str(root))
    store.put("k", b"")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_bytes(b"")
    (root / "dangling").symlink_to(root / "nowhere")
    os.mkfifo(root / "pipe")
    assert [found.key for found in store.list("")] == ["k"]


def test_modified_at_is_the_files_time(root: Path) -> None:
    """The store's own clock is the file system's."""
    store = LocalStore(str(root))
    store.put("k", b"")
    os.utime(root / "k", (1_700_000_000, 1_700_000_000))
    found = store.head("k")
    assert found is not None
    assert found.modified_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_a_memory_stores_time_is_handed_in() -> None:
    """Tests decide what time it is."""
    store = MemoryStore(now_ns=lambda: 1_700_000_000 * 10**9)
    store.put("k", b"")
    found = store.head("k")
    assert found is not None
    assert found.modified_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE])
def test_a_disk_that_may_recover_is_retried(number: int) -> None:
    """Full disks and failing networks are waited for."""
    with pytest.raises(StoreUnavailableError, match="/data/x"), disk_errors("/data"):
        raise OSError(number, os.strerror(number), "/data/x")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EXDEV])
def test_a_disk_that_says_no_is_the_users_to_mend(number: int) -> None:
    """The message names the place and the remedy."""
    with pytest.raises(StoreRefusedError, match=r"^/data: .*: "), disk_errors("/data"):
        raise OSError(number, os.strerror(number))


def test_a_full_device_is_unavailable(root: Path) -> None:
    """What a real device says that has no space left is waited for."""
    with pytest.raises(StoreUnavailableError, match="the disk is full"), disk_errors(str(root)):
        Path("/dev/full").write_bytes(b"x" * 10_000)


def test_a_folder_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    """The root turned out to be a file after the store was opened."""
    store = LocalStore(str(tmp_path / "late"))
    (tmp_path / "late").write_bytes(b"")
    with pytest.raises(StoreRefusedError, match="late"):
        store.put("k", b"")
    with pytest.raises(StoreRefusedError, match="late"):
        store.put_batch({"k": b"", "l": b""})


def test_a_place_where_nobody_may_write_is_refused() -> None:
    """Writing where the kernel makes no folders says what to do."""
    with pytest.raises(StoreRefusedError, match="choose another store"):
        LocalStore("/sys/spotrender-test").put("k", b"")


def test_without_hard_links_create_still_has_one_winner(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File systems without hard links (exFAT, some network shares) fall back to the lock."""

    def no_links(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)

    monkeypatch.setattr(os, "link", no_links)
    store = LocalStore(str(root))
    start = Barrier(4)

    def create(n: int) -> bool:
        start.wait()
        try:
            store.put("k", str(n).encode(), mode="create")
        except AlreadyExistsError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(create, range(4)))
    assert won.count(True) == 1
    assert store.get("k") == str(won.index(True)).encode()
