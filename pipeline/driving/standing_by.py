"""A driver that was told to pause stays: it holds the lease, has no workers, and waits for the next order."""

from dataclasses import replace

from pipeline.driving.control import StoredOrders, latest_settings
from pipeline.driving.fenced_store import FencedStore
from pipeline.driving.lease import Lease
from pipeline.driving.run_job import World, run_job
from pipeline.driving.staffing import all_nodes
from pipeline.job import Job, JobState
from pipeline.layout import status_key
from pipeline.ledger.buckets import instant
from pipeline.request_table import RequestTable
from pipeline.status import Status, read_status, starting_status, status_to_json

WAIT_SECONDS = 0.25
"""Between two looks at the orders."""


def obey(job: Job, table: RequestTable, world: World, orders: StoredOrders, *, lease: Lease) -> Status:
    """Drive a job to its end, through all pauses that are ordered; each round has the settings that hold then.

    Args:
        job: frozen.
        table: its requests.
        world: what the driver works with.
        orders: what people ask of it.
        lease: held.

    Raises:
        StoreUnavailableError: the store did not answer at the start or at the very end of a round.
        LeaseLostError: another driver has taken the job over.
    """
    status: Status | None = None
    nodes = orders.settings.nodes
    while True:
        orders.look()
        if orders.paused:
            status = _tell(status or _before(job, world, lease), JobState.PAUSED, orders, world, lease)
            _wait(world, orders, lease)
            asked = orders.stop()
            if asked is not None:
                return _tell(status, asked[0], orders, world, lease)
        _, settings = latest_settings(world.store, job.id)
        orders.changed_settings()
        if settings.nodes != nodes:  # changed while nobody rendered
            nodes = settings.nodes
            world.compute.offer(all_nodes(nodes, workers=world.workers))
        status = run_job(job, settings, table, world, orders, lease=lease)
        if not (status.state is JobState.PAUSED and orders.paused):
            return status


def _wait(world: World, orders: StoredOrders, lease: Lease) -> None:
    """Until the order is another one, or somebody presses the button. Raises: LeaseLostError."""
    while orders.paused:
        world.clock.sleep(WAIT_SECONDS)
        lease.keep()
        orders.look()


def _before(job: Job, world: World, lease: Lease) -> Status:
    """What there is to say when this driver has not begun yet."""
    earlier = read_status(world.store, job.id)
    now = instant(world.clock.now_ns()).isoformat()
    total = earlier.total if earlier else job.images
    return starting_status(job.id, total=total, earlier=earlier, now=now, fence=lease.fence)


def _tell(status: Status, state: JobState, orders: StoredOrders, world: World, lease: Lease) -> Status:
    """Put it into the store that the job stands so, and why."""
    asked = orders.stop()
    status = replace(
        status,
        state=state,
        phase="finished" if state.terminal else "paused",
        message=asked[1] if asked else "",
        updated_at=instant(world.clock.now_ns()).isoformat(),
    )
    FencedStore(world.store, lease).put(status_key(status.job, status.fence), status_to_json(status))
    world.on_status(status)
    return status
