"""Pause and cancel a job from anywhere, through its store: its driver obeys, or, without one, it is said from here."""

from collections.abc import Callable
from dataclasses import dataclass

from jobs.driving import lease_of, who_asks
from jobs.undriven import living_driver, tell, undriven
from jobs.watching.listing import find_job, read_job
from jobs.watching.wait import instant
from pipeline.driving.control import Order, ask
from pipeline.errors import JobRefusedError
from pipeline.job import JobState
from pipeline.ports import Clock, Store
from pipeline.status import read_status, starting_status

_DONE = {JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES}
_STATES = {Order.PAUSE: JobState.PAUSED, Order.CANCEL: JobState.CANCELED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of an order."""

    job: str
    order: str
    """`run`, `pause` or `cancel`."""
    number: int
    """Of what is asked of this job; goes up with each change."""
    state: JobState
    """Where the job stands now."""
    driver: str
    """Who drives it and obeys within seconds; empty when nobody does."""
    message: str


def pause(store: Store, text: str, *, clock: Clock, say: Callable[[str], None] = lambda _text: None) -> Asked:
    """Have a job finish the batches in flight, let its workers go, and wait.

    Args:
        store: where it lies.
        text: which one.
        clock: time.
        say: told what is waited for.

    Raises:
        JobRefusedError: no such job, or one that has ended.
    """
    return _order(store, text, Order.PAUSE, clock=clock, say=say)


def cancel(store: Store, text: str, *, clock: Clock, say: Callable[[str], None] = lambda _text: None) -> Asked:
    """Have a job finish the batches in flight, and end; arguments and errors as of `pause`."""
    return _order(store, text, Order.CANCEL, clock=clock, say=say)


def _order(store: Store, text: str, order: Order, *, clock: Clock, say: Callable[[str], None]) -> Asked:
    """Write the order, and see that somebody obeys it."""
    job = read_job(store, find_job(store, text))
    lease, wanted = lease_of(store, job.id, clock=clock), _STATES[order]
    status = read_status(store, job.id)
    state = status.state if status else JobState.PENDING
    seen, free = lease.look()
    if state.terminal and (seen is None or free):
        if state is wanted:
            return Asked(job=job.id, order=order, number=0, state=state, driver="", message=f"it is {state} already")
        if state in _DONE or order is Order.PAUSE:
            raise JobRefusedError(f"{job.id} is {state}: there is nothing to {order.value}")
    now = instant(clock.now_ns())
    asked = ask(store, job.id, by=who_asks(), at=now.isoformat(), order=order)
    owner = living_driver(lease, clock=clock, say=say)
    if owner is not None:
        doing = "finishes the batches in flight" if order is Order.PAUSE else "finishes the batches in flight and ends"
        message = f"its driver {doing}; `spotrender wait {job.id}` follows it"
        return Asked(job=job.id, order=order, number=asked.number, state=state, driver=str(owner), message=message)
    remedy = "it was started this moment, and obeys"
    with undriven(store, job.id, remedy=remedy, clock=clock, say=say) as held:
        status = read_status(store, job.id) or starting_status(
            job.id, total=job.images, earlier=None, now=now.isoformat(), fence=0
        )
        if status.state not in _DONE | {wanted}:
            message = f"{'paused' if order is Order.PAUSE else 'canceled'} by {asked.by}; submit or resume it to go on"
            status = tell(store, held, status, now, state=wanted, phase="no driver", message=message)
    message = "nobody drives it" if status.state is wanted else f"it is {status.state} already"
    return Asked(job=job.id, order=order, number=asked.number, state=status.state, driver="", message=message)
