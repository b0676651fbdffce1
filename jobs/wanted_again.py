"""Somebody wants a job that has ended: clean-up is to know, and the answer must not be older than a clean-up."""

import uuid
from contextlib import suppress
from datetime import UTC, datetime

from jobs.driving import who_asks
from pipeline.clean_up.sweep import heed_clean_up
from pipeline.clock import SystemClock
from pipeline.driving.control import Order, ask
from pipeline.errors import JobRefusedError
from pipeline.ports import Clock, Store
from pipeline.status import Status, read_status


def wanted_status(store: Store, job: str, *, clock: Clock | None = None) -> Status | None:
    """The last status of a job; where nothing is left to do, its retention begins anew.

    That is written first, and then a clean-up that deletes is waited for: so either it sees that the job is wanted, and
    spares its images, or the status that is read here says that they were removed.
    """
    status = read_status(store, job)
    if status is None or not status.complete:
        return status
    with suppress(JobRefusedError):
        ask(store, job, by=who_asks(), at=datetime.now(UTC).isoformat(), order=Order.RUN, anew=True)
    heed_clean_up(store, clock=clock or SystemClock(), token=uuid.uuid4().hex, keep=lambda: None)
    return read_status(store, job)
