"""Holds a job that nobody drives, for as long as something is changed in it from here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from jobs.driving import lease_of
from jobs.following import POLL_SECONDS
from pipeline.clock import SystemClock
from pipeline.driving.lease import TTL_SECONDS, Lease
from pipeline.driving.lease_state import Owner
from pipeline.errors import JobRefusedError
from pipeline.layout import status_key
from pipeline.ports import Clock, Store
from pipeline.status import Status, status_to_json


def living_driver(lease: Lease, *, clock: Clock, say: Callable[[str], None]) -> Owner | None:
    """Who drives the job; None once it is sure that nobody does, or the one who did is gone.

    Takes at most as long as a lease lives, when its driver died on another machine.
    """
    first, free = lease.look()
    if first is not None and not free:
        say(f"waiting for a sign of its driver ({first.state.owner}), {TTL_SECONDS:.0f} s at most")
    while not free:
        clock.sleep(POLL_SECONDS)
        seen, free = lease.look()
        if seen is not None and first is not None and not free and seen.etag != first.etag:
            return seen.state.owner
    return None


@contextmanager
def undriven(
    store: Store, job: str, *, remedy: str, clock: Clock | None = None, say: Callable[[str], None] = lambda _text: None
) -> Iterator[Lease]:
    """While the block runs, nobody else can drive the job.

    Args:
        store: where it lies.
        job: job id.
        remedy: what to do about a driver that is at work.
        clock: time.
        say: told what is waited for.

    Raises:
        JobRefusedError: a driver is at work.
    """
    clock = clock or SystemClock()
    lease = lease_of(store, job, clock=clock)
    owner = living_driver(lease, clock=clock, say=say)
    other = None if owner else lease.try_take()
    if owner or other:
        raise JobRefusedError(f"{job} is driven by {owner or (other and other.state.owner)}; {remedy}")
    try:
        yield lease
    finally:
        lease.release()


def tell(store: Store, lease: Lease, status: Status, now: datetime, **changes: Any) -> Status:
    """Put into the store how the job stands now, as one more driver of it would; gives that.

    Args:
        store: where it lies.
        lease: of the job, held.
        status: what its last driver said.
        now: the instant.
        changes: fields that are other ones now.
    """
    told = replace(
        status,
        rendered_now=0,
        images_per_second=0.0,
        eta_seconds=None,
        workers_ready=0,
        workers_starting=0,
        workers_lost=0,
        started_at=now.isoformat(),
        updated_at=now.isoformat(),
        fence=lease.fence,
    )
    told = replace(told, **changes)
    lease.confirm()
    store.put(status_key(status.job, lease.fence), status_to_json(told), mode="create")
    return told
