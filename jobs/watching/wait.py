"""Waits until nothing more happens to a job, by looking at its store."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from jobs.watching.listing import find_job, read_job
from jobs.watching.status import JobView, view
from pipeline.errors import StoreUnavailableError
from pipeline.ports import Clock, Store
from pipeline.status import read_status

POLL_SECONDS = 2.0
"""Between two looks."""

TIMED_OUT = 124
"""Exit code of `wait` when its time is over before the job is; as `timeout` has it."""

PATIENCE_SECONDS = 300.0
"""A store that does not answer is asked again for so long."""


def wait(
    store: Store,
    text: str,
    *,
    clock: Clock,
    timeout_seconds: float | None = None,
    on_view: Callable[[JobView], None] | None = None,
) -> JobView:
    """Wait for the job's end; returns it as it stands then, or when the time is over.

    A paused job and one whose driver is silent are waited for as well: someone may resume them.

    Raises:
        JobRefusedError: no such job, or several.
        StoreUnavailableError: the store has not answered for `PATIENCE_SECONDS`.
    """
    job = read_job(store, find_job(store, text))
    started = answered = clock.now_ns()
    while True:
        now = clock.now_ns()
        left = None if timeout_seconds is None else timeout_seconds - (now - started) / 1e9
        late = left is not None and left <= 0
        try:
            seen = view(job, read_status(store, job.id), now=instant(now))
        except StoreUnavailableError:
            if late or (now - answered) / 1e9 > PATIENCE_SECONDS:
                raise
        else:
            answered = now
            if on_view is not None:
                on_view(seen)
            if late or seen.state.terminal:
                return seen
        clock.sleep(POLL_SECONDS if left is None else min(POLL_SECONDS, max(left, 0)))


def instant(nanoseconds: int) -> datetime:
    """Nanoseconds since the epoch as an aware instant."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)


def exit_code(seen: JobView) -> int:
    """The exit code for how the wait ended."""
    return seen.state.exit_code if seen.state.terminal else TIMED_OUT
