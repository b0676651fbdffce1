"""What a driver writes once its lease is another's: nothing that a reader would believe."""

from collections.abc import Callable

import pytest

from pipeline.driving.fenced_store import FencedStore
from pipeline.errors import AlreadyExistsError, LeaseLostError
from pipeline.layout import ledger_images_key, status_key
from pipeline.ports import PutMode
from tests.pipeline.lease_place import JOB, Place, Weather


@pytest.fixture
def place() -> Place:
    """An empty store."""
    return Place()


def test_driver_that_wakes_up_writes_nothing_that_a_reader_would_believe(place: Place) -> None:
    """It slept through its own end: each kind of write is refused, and what the new driver wrote stays."""
    bucket = ledger_images_key("2026-11-21", JOB, "000000")
    first, second = place.driver(), place.driver()
    assert first.try_take() is None
    asleep = FencedStore(place.store, first)
    asleep.put(bucket, b"first")
    asleep.put(status_key(JOB, first.fence), b"first")
    place.take_in_time(second)
    awake = FencedStore(place.store, second)
    awake.put(bucket, b"second")
    for write in (
        lambda: asleep.put(bucket, b"late"),
        lambda: asleep.put("index/images/0.parquet", b"late"),
        lambda: asleep.put(f"jobs/{JOB}/records/t-a-0.json", b"late", mode="create"),
        lambda: asleep.put(status_key(JOB, 1), b"late"),
        lambda: asleep.put_batch({"index/images/1.parquet": b"late"}),
        lambda: asleep.delete(bucket),
    ):
        with pytest.raises(LeaseLostError):
            write()
    assert place.store.get(bucket) == b"second"
    assert place.store.get(status_key(JOB, 1)) == b"first"


class Dozing(Weather):
    """A store whose caller falls asleep between the last look and the write, as SIGSTOP may have it."""

    meanwhile: Callable[[], None] | None = None

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        if self.meanwhile is not None and key.startswith("ledger/"):
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().put(key, body, mode=mode, if_match=if_match)


@pytest.mark.parametrize("there", [False, True], ids=["new", "rewritten"])
def test_write_that_slept_after_its_last_look_meets_another_object(place: Place, *, there: bool) -> None:
    """The lease was confirmed, then the process slept: its write is conditional on what stood there, so it fails."""
    place.store = Dozing()
    bucket = ledger_images_key("2026-11-21", JOB, "000000")
    first, second = place.driver(), place.driver()
    assert first.try_take() is None
    asleep = FencedStore(place.store, first)
    if there:
        asleep.put(bucket, b"first")

    def take_over() -> None:
        place.take_in_time(second)
        FencedStore(place.store, second).put(bucket, b"second")

    place.store.meanwhile = take_over
    with pytest.raises(LeaseLostError):
        asleep.put(bucket, b"late")
    assert place.store.get(bucket) == b"second"


def test_fenced_store_reads_as_the_real_one_does(place: Place, tmp_path: object) -> None:
    """Only writing needs the lease; a create-only put is still refused where something is."""
    lease = place.driver()
    assert lease.try_take() is None
    store = FencedStore(place.store, lease)
    store.put("a/b", b"1", mode="create")
    with pytest.raises(AlreadyExistsError):
        store.put("a/b", b"2", mode="create")
    info = store.head("a/b")
    assert info is not None
    assert (store.uri, store.get("a/b"), info.size_bytes) == (place.store.uri, b"1", 1)
    assert [one.key for one in store.list("a/")] == ["a/b"]
    assert list(store.list_folders("a/")) == []
    with pytest.raises(AlreadyExistsError):
        store.put("a/b", b"2", if_match="other")
    store.put("a/b", b"2", if_match=info.etag)
    store.delete("a/b")
    assert store.head("a/b") is None
