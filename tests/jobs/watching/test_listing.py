"""Which jobs a store holds, and which one a user means."""

from datetime import timedelta

import pytest

from infra.stores.memory import MemoryStore
from jobs.watching.listing import find_job, list_jobs
from pipeline.errors import JobRefusedError
from tests.jobs.made_job import NOW, make_job


def test_jobs_are_listed_newest_first() -> None:
    """What was submitted last stands at the top."""
    store = MemoryStore()
    old, _ = make_job(store, name="a", submitted_at=NOW)
    new, _ = make_job(store, name="b", submitted_at=NOW + timedelta(days=1))
    assert [one.job.id for one in list_jobs(store)] == [new.id, old.id]


def test_what_is_no_job_is_not_listed() -> None:
    """Probes, and folders of a submit that died before it froze its job, are no jobs."""
    store = MemoryStore()
    store.put("jobs/.probe/x", b"")
    store.put("jobs/half-0123456789abcdef/requests/00000.parquet", b"")
    store.put("jobs/odd-0123456789abcdef/job.json", b"{}")
    assert list_jobs(store) == []


def test_job_is_found_by_id_name_or_beginning() -> None:
    """A user types as little as tells a job from the others."""
    store = MemoryStore()
    job, _ = make_job(store, name="autumn")
    make_job(store, name="winter")
    for text in (job.id, "autumn", job.id[:10], f"jobs/{job.id}/"):
        assert find_job(store, text) == job.id


def test_name_of_several_jobs_means_the_newest() -> None:
    """An edited manifest makes another job of the same name; the last one is meant."""
    store = MemoryStore()
    make_job(store, ("a",), name="autumn")
    new, _ = make_job(store, ("b",), name="autumn", submitted_at=NOW + timedelta(hours=1))
    make_job(store, ("c",), name="autumn", submitted_at=NOW - timedelta(hours=1))
    assert find_job(store, "autumn") == new.id


@pytest.mark.parametrize(
    ("text", "said"),
    [("autunm", "near are autumn-"), ("autumn-", "may be any of autumn-"), ("zzzz", "spotrender list")],
)
def test_job_that_is_not_there_is_refused_with_the_nearest(text: str, said: str) -> None:
    """A slip of the keyboard is answered with what was meant."""
    store = MemoryStore()
    make_job(store, name="autumn-a")
    make_job(store, name="autumn-ab")
    make_job(store, name="autumn")
    with pytest.raises(JobRefusedError, match=said):
        find_job(store, text)


def test_empty_store_says_so() -> None:
    """The most likely mistake is a wrong store."""
    with pytest.raises(JobRefusedError, match="is this the right store"):
        find_job(MemoryStore(), "demo")
