"""One driver's run of one job, from its fence to the last line of the ledger."""

import logging
import random
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from decimal import Decimal

from pipeline.clean_up.collected import record_collected
from pipeline.clean_up.sweep import heed_clean_up
from pipeline.driving.beside import Beside
from pipeline.driving.drive import Drive
from pipeline.driving.drive_policy import DrivePolicy
from pipeline.driving.fenced_store import FencedStore
from pipeline.driving.lease import Lease
from pipeline.driving.lease_state import Owner
from pipeline.driving.orders import Orders
from pipeline.driving.progress import Progress
from pipeline.driving.reusing import commit_reused
from pipeline.driving.standing import Standing
from pipeline.driving.type_meter import TypeMeter
from pipeline.errors import AlreadyExistsError, JobRefusedError, StoreUnavailableError
from pipeline.job import Job, Settings
from pipeline.layout import status_key
from pipeline.ledger.accounts import Accounts, read_sessions
from pipeline.ledger.bookkeeping import Bookkeeping
from pipeline.ledger.buckets import instant
from pipeline.ledger.checkpoint import read_checkpoint
from pipeline.metrics import NoMetrics
from pipeline.plan import Plan
from pipeline.ports import Clock, Compute, Metrics, Store
from pipeline.pricing.billing import BillingRule
from pipeline.pricing.bills import Bills
from pipeline.pricing.overhead import HeadPrice
from pipeline.pricing.pricing import Pricing
from pipeline.pricing.storage_cost import StorageRates
from pipeline.request_table import RequestTable
from pipeline.status import Status, read_status, starting_status, status_to_json

_LOG = logging.getLogger(__name__)
_LAST_STEP_SECONDS = 2.0
_FENCE_TRIES = 20
TAKE_SECONDS = 1.0
"""Between two looks at a lease that another driver holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a driver works with."""

    store: Store
    compute: Compute
    clock: Clock
    executor: Executor
    """Runs reads from the store in parallel."""
    background: Executor
    """Runs what must not hold up the driver's loop, one thing after the other."""
    new_attempt: Callable[[], str]
    """Gives ids that no other attempt of any driver has."""
    on_status: Callable[[Status], None] = field(default=lambda _status: None)
    """Told the status several times a second."""
    policy: DrivePolicy = field(default_factory=DrivePolicy)
    jitter: Callable[[], float] = field(default=random.SystemRandom().random)
    """Random numbers from 0 to 1, for the waits between retries."""
    new_token: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)
    """Gives what no other driver's lease holds."""
    pricing: Pricing | None = None
    """Prices that change; None: each node has the price of its offer."""
    billing: Mapping[str, BillingRule] = field(default_factory=dict)
    """How providers bill instances; a provider without a rule bills what was accrued."""
    storage_rates: StorageRates | None = None
    """What the store charges; None where it is free."""
    workers: int | None = None
    """At most so many, in whole nodes; None: as the settings say."""
    others_usd: Callable[[], Decimal] = Decimal
    """What other jobs of this name have cost that were submitted this month; asked several times a second."""
    head: HeadPrice | None = None
    """What the cluster's head costs; None where it is one of the job's own nodes, or nobody says."""
    metrics: Metrics = field(default_factory=NoMetrics)
    """For whoever watches."""


def run_job(
    job: Job, settings: Settings, table: RequestTable, world: World, orders: Orders, *, lease: Lease | None = None
) -> Status:
    """Render what is missing of a job; returns its status at the end, which is in the store by then.

    Args:
        job: frozen.
        settings: as they are now.
        table: its requests.
        world: what the driver works with.
        orders: what people ask of it.
        lease: held by the caller; None: it is waited for, and let go at the end.

    Raises:
        StoreUnavailableError: the store did not answer at the start or at the very end; nothing is lost.
        LeaseLostError: another driver has taken the job over; this one has written nothing since.
    """
    if lease is not None:
        return _drive_once(job, settings, table, world, orders, lease=lease)
    lease = Lease(world.store, job.id, owner=Owner(host="", pid=0), token=world.new_token(), clock=world.clock)
    while lease.try_take() is not None:
        world.clock.sleep(TAKE_SECONDS)
    try:
        status = _drive_once(job, settings, table, world, orders, lease=lease)
    except Exception:
        lease.release()
        raise
    if not lease.release():
        lease.check()
    return status


def _drive_once(
    job: Job, settings: Settings, table: RequestTable, world: World, orders: Orders, *, lease: Lease
) -> Status:
    """From the checkpoint to the last status, under a fence of its own."""
    beside = Beside(world.store, rates=world.storage_rates, head=world.head, clock=world.clock)
    unfenced, world = world.store, replace(world, store=FencedStore(world.store, lease))
    store, clock = world.store, world.clock
    plan = Plan(table, job.sizes)
    earlier = read_status(store, job.id)
    fence = begin(job, plan.images, earlier, world, lease, unfenced=unfenced)
    sessions = read_sessions(store, job.id)
    checkpoint = read_checkpoint(
        store, job, plan, world.executor, {name: session.price for name, session in sessions.items()}
    )
    progress = Progress(plan, checkpoint.state)
    accounts = Accounts(
        job=job.id,
        fence=fence,
        earlier=sessions,
        last_seen_ns=checkpoint.last_seen_ns,
        since_ns=clock.now_ns(),
        pricing=world.pricing,
    )
    bills = Bills(store=store, job=job, rules=world.billing)
    books = Bookkeeping(
        job=job,
        plan=plan,
        store=store,
        checkpoint=checkpoint,
        executor=world.executor,
        background=world.background,
        clock=clock,
        prices=accounts.prices,
        bills=bills,
        beside=beside.facts,
    )

    beside.begin(accounts.calls, earlier, TypeMeter(accounts, books.made, settings.expected, clock=clock))

    def publish(status: Callable[[], Status], due: bool) -> None:  # noqa: FBT001 - called by the driver alone
        lease.keep()
        told = beside.told_in(status())
        if due:
            store.put(status_key(job.id, fence), status_to_json(told))
        _show(told, world)

    standing = Standing(
        job=job,
        plan=plan,
        table=table,
        progress=progress,
        books=books,
        store=store,
        clock=clock,
        executor=world.executor,
        policy=world.policy,
        new_attempt=world.new_attempt,
        jitter=world.jitter,
        metrics=world.metrics,
    )
    commit_reused(standing)
    drive = Drive(
        standing=standing,
        settings=settings,
        accounts=accounts,
        compute=world.compute,
        publish=publish,
        orders=orders,
        fence=fence,
        earlier_seconds=earlier.seconds if earlier else 0.0,
        workers=world.workers,
        others_usd=world.others_usd,
    )
    try:
        state = drive.run()
    finally:
        world.compute.close()
    drive.closed()
    accounts.close(clock.now_ns())
    world.on_status(drive.status(phase="writing the ledger"))

    def leave() -> Status:
        """All that a driver leaves behind; may be done again from the start."""
        books.take_late_records()
        books.tell(accounts)
        accounts.write(store, clock.now_ns())
        drive.save()
        books.write_open(progress.missing_of_bucket)
        books.write_repriced()
        if not progress.missing:
            books.write_failures(table, checkpoint.state)
        beside.meter.bytes_stored = books.write_index()
        bills.look_around(accounts.sessions.values(), now_ns=clock.now_ns())
        books.write_nodes(accounts)  # it says what all these calls cost, so it comes after them
        accounts.write(store, clock.now_ns())
        status = beside.told_in(drive.status(state, phase="finished" if state.terminal else "paused"))
        store.put(status_key(job.id, fence), status_to_json(status))
        lease.confirm()  # else another driver has begun meanwhile, and what it says of the job holds
        return status

    status = _patiently(leave, world, lease, outage_seconds=settings.outage_seconds)
    world.on_status(status)
    return status


def _show(status: Status, world: World) -> None:
    """To whoever looks on; what the driver itself does not know of its cost is told here alone."""
    world.metrics.set("overhead_usd", float(status.overhead_usd), job=status.job)
    world.on_status(status)


def _patiently(step: Callable[[], Status], world: World, lease: Lease, *, outage_seconds: float) -> Status:
    """Do the last step, again while the store does not answer, as long as an outage may last.

    Raises:
        StoreUnavailableError: it has lasted too long; the next submit does the rest.
        LeaseLostError: another driver has taken the job over meanwhile.
    """
    until_ns = world.clock.now_ns() + round(outage_seconds * 1e9)
    while True:
        try:
            return step()
        except StoreUnavailableError as error:
            if world.clock.now_ns() >= until_ns:
                raise
            _LOG.warning("the last lines of the ledger wait for the store: %s", error)
            world.clock.sleep(_LAST_STEP_SECONDS)
            lease.beat()


def begin(job: Job, images: int, earlier: Status | None, world: World, lease: Lease, *, unfenced: Store) -> int:
    """Say that this driver begins, under a fence that nobody used before; gives the fence.

    A clean-up that goes on is waited for then, and what earlier ones removed is missing again.

    Raises:
        JobRefusedError: others keep changing the job.
    """
    fence = lease.fence
    for _ in range(_FENCE_TRIES):
        now = instant(world.clock.now_ns()).isoformat()
        status = starting_status(job.id, total=images, earlier=earlier, now=now, fence=fence)
        try:
            world.store.put(status_key(job.id, fence), status_to_json(status), mode="create")
        except AlreadyExistsError:
            fence = lease.raise_fence()
            continue
        world.on_status(status)
        heed_clean_up(unfenced, clock=world.clock, token=world.new_token(), keep=lease.keep)
        if earlier is not None and earlier.collected:
            record_collected(world.store, job, world.executor, world.new_attempt)
        return fence
    raise JobRefusedError(f"{job.id}: others keep changing it; try again")
