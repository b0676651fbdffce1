"""A job whose records clean-up has packed is retried and repaired like any other."""

from concurrent.futures import ThreadPoolExecutor

from infra.stores.memory import MemoryStore
from jobs.retrying import forgive
from jobs.verify import verify, void
from jobs.watching.status import read_view
from pipeline.clean_up.packs import pack
from pipeline.clock import ManualClock
from pipeline.job import Job, JobState
from pipeline.layout import packed_key, records_prefix
from pipeline.ledger.buckets import bucket_name, read_records, record_infos, seal
from pipeline.ledger.checkpoint import committed_table
from tests.jobs.made_job import NOW, MadeImage, make_job


def packed_job(store: MemoryStore) -> tuple[Job, list[MadeImage]]:
    """Two images, and one that failed; no record has an object of its own any more."""
    job, images = make_job(store, ("a", "b", "c"), failed=("b",), state=JobState.COMPLETED_WITH_FAILURES)
    with ThreadPoolExecutor(2) as executor:
        stored = read_records(store, list(record_infos(store, job)), executor)
    seal(store, job, 0, stored, done=True)
    store.put(packed_key(job.id, bucket_name(0)), pack(stored))
    for info in list(store.list(records_prefix(job.id))):
        store.delete(info.key)
    return job, images


def outcomes(store: MemoryStore, job: Job) -> list[str]:
    """Of the images that count."""
    with ThreadPoolExecutor(2) as executor:
        return sorted(committed_table(store, job, executor)["outcome"].to_pylist())


def test_failures_of_packed_records_are_forgiven() -> None:
    """The record that says so stands alone beside the pack, and what was there stays there."""
    store = MemoryStore()
    job, _ = packed_job(store)
    assert outcomes(store, job) == ["failed", "rendered", "rendered"]
    forgiven = forgive(store, "demo", attempt="retry1", clock=ManualClock())
    assert (forgiven.images, forgiven.left) == (1, 0)
    assert outcomes(store, job) == ["rendered", "rendered"]


def test_packed_records_are_taken_back() -> None:
    """By `verify --repair`: the image that is missing counts no longer, the others do."""
    store = MemoryStore()
    job, images = packed_job(store)
    store.delete(images[1].key)
    seen = read_view(store, "demo", now=NOW)
    found = verify(store, seen)
    assert [(one.problem, one.record) for one in found.findings] == [("missing", images[1].record)]
    assert void(store, seen, found.findings, attempt="repair1", now=NOW) == (images[1].record,)
    assert outcomes(store, job) == ["failed", "rendered"]
    assert verify(store, read_view(store, "demo", now=NOW)).sound
