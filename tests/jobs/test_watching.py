"""Status and wait: what anyone sees of a job who can read its store."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.stores.memory import MemoryStore
from jobs.watching.status import JobView, read_view, view, view_to_json
from jobs.watching.wait import PATIENCE_SECONDS, TIMED_OUT, exit_code, instant, wait
from pipeline.clock import ManualClock
from pipeline.errors import StoreUnavailableError
from pipeline.job import JobState
from pipeline.layout import status_key
from pipeline.ports import ObjectInfo
from pipeline.status import status_to_json
from tests.jobs.made_job import NOW, make_job, status_of

NOW_NS = int(NOW.timestamp()) * 10**9


class FailingStore(MemoryStore):
    """A store that does not list any more when it is told so."""

    down = False

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`."""
        if self.down:
            raise StoreUnavailableError("the store is down")
        return super().list(prefix, start_after=start_after)


def test_job_without_a_driver_is_pending() -> None:
    """A frozen job that nobody drives yet says what to do."""
    store = MemoryStore()
    job, _ = make_job(store)
    store.delete(status_key(job.id, 1))
    seen = read_view(store, job.id, now=NOW)
    assert (seen.state, seen.silent_since) == (JobState.PENDING, None)
    assert "run submit" in seen.message
    assert view_to_json(seen)["total"] == 3


@pytest.mark.parametrize(
    ("state", "seconds", "silent"),
    [
        (JobState.RUNNING, 119, False),
        (JobState.RUNNING, 121, True),
        (JobState.RECOVERING, 121, True),
        (JobState.SUCCEEDED, 10**6, False),
        (JobState.PAUSED, 10**6, False),
    ],
)
def test_running_job_whose_driver_is_silent_is_told(state: JobState, seconds: int, *, silent: bool) -> None:
    """After two minutes without a word the driver is most likely gone, and submit resumes."""
    store = MemoryStore()
    job, _ = make_job(store)
    status = status_of(job, total=3, rendered=1, state=state)
    seen = view(job, status, now=NOW + timedelta(seconds=seconds))
    assert (seen.silent_since is not None) is silent
    assert ("driver silent since 2026-11-21T07:00:00+00:00, run submit again" in seen.message) is silent


def test_view_as_json_holds_what_the_driver_said() -> None:
    """Money is text, and the keys that scripts read are there."""
    store = MemoryStore()
    job, _ = make_job(store)
    said = view_to_json(read_view(store, "demo", now=NOW))
    assert said["job"] == job.id
    assert (said["state"], said["rendered"], said["usd"]) == ("SUCCEEDED", 3, "0.0123")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (JobState.SUCCEEDED, 0),
        (JobState.COMPLETED_WITH_FAILURES, 3),
        (JobState.STOPPED, 4),
        (JobState.CANCELED, 5),
    ],
)
def test_wait_ends_with_the_job(state: JobState, code: int) -> None:
    """The exit code tells scripts how the job ended."""
    store = MemoryStore()
    job, _ = make_job(store, state=JobState.RUNNING)
    clock = ManualClock(NOW_NS)
    seen: list[JobView] = []

    def tell(one: JobView) -> None:
        seen.append(one)
        if len(seen) == 3:
            store.put(status_key(job.id, 2), status_to_json(replace(status_of(job, total=3, rendered=3), state=state)))

    ended = wait(store, "demo", clock=clock, on_view=tell)
    assert (ended.state, exit_code(ended), len(seen)) == (state, code, 4)


def test_wait_gives_up_when_its_time_is_over() -> None:
    """A job that still runs is no success: another exit code."""
    store = MemoryStore()
    make_job(store, state=JobState.RUNNING)
    clock = ManualClock(NOW_NS)
    ended = wait(store, "demo", clock=clock, timeout_seconds=5.0)
    assert exit_code(ended) == TIMED_OUT
    assert clock.now_ns() == NOW_NS + 5 * 10**9


def test_wait_outlives_a_store_that_is_down_for_a_while() -> None:
    """A short outage is waited out, a long one is told."""
    store = FailingStore()
    make_job(store, state=JobState.RUNNING)
    clock = ManualClock(NOW_NS)

    def fail(_seen: JobView) -> None:
        store.down = True

    with pytest.raises(StoreUnavailableError):
        wait(store, "demo", clock=clock, on_view=fail)
    assert clock.now_ns() - NOW_NS > PATIENCE_SECONDS * 10**9


def test_instants_are_utc() -> None:
    """Nanoseconds of the clock become an aware instant."""
    assert instant(NOW_NS) == NOW
