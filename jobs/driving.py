"""Drive a job that is in the store, from here, or follow whoever does; or have a Ray cluster do it."""

import getpass
import logging
import os
import socket
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from infra.compute.metric_recorder import Recorder
from infra.logs.job_log import JobLog, logged
from infra.process_identity import is_gone, this_process
from infra.stores.measured import MeasuredStore
from jobs.computing import IN_PROCESS, workers_of
from jobs.delivery.delivering import deliver_at_end
from jobs.following import Following
from jobs.interrupt import interrupts_press
from jobs.keeping import repeated
from jobs.prices.head_price import head_price
from jobs.prices.live_prices import priced_now, prices_of, pricing_of
from jobs.prices.month_spend import MonthSpend
from jobs.prices.price_files import billing_rules, storage_rates
from jobs.reporting.page.writing import write_page
from jobs.telling import Telling, telling
from pipeline import __version__
from pipeline.clock import SystemClock
from pipeline.driving.control import StoredOrders, latest_settings, put_settings
from pipeline.driving.fenced_store import FencedStore
from pipeline.driving.lease import Lease
from pipeline.driving.orders import StopButton
from pipeline.driving.run_job import World
from pipeline.driving.standing_by import obey
from pipeline.errors import ClusterRefusedError, JobRefusedError, NotFoundError
from pipeline.job import Job, NodeOffer, job_from_json
from pipeline.layout import job_key, requests_key
from pipeline.ports import Clock, Store
from pipeline.probe import probe_conditional
from pipeline.request_table import RequestTable
from pipeline.status import Status

STORE_THREADS = 16
"""Reads from the store at the same time."""

_LOG = logging.getLogger(__name__)


def drive(
    job: Job,
    table: RequestTable,
    store: Store,
    *,
    address: str | None,
    workers: int | None = None,
    nodes_here: tuple[NodeOffer, ...] | None = None,
    conditional: bool | None = None,
    on_status: Callable[[Status], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Status:
    """Drive a job until it ends or is interrupted, or follow the driver that it has; its status then.

    Should the driver that is followed die, this one takes over.

    Args:
        job: as it stands in the store, with its settings.
        table: its requests.
        store: where it stands.
        address: a Ray cluster, `in-process`, or None for a Ray of our own.
        workers: at most so many.
        nodes_here: what this driver has to work with, where the job itself names no nodes; they become its settings.
        conditional: whether the store honours conditional writes; None: it is tried, and a lack of it said.
        on_status: told the status several times a second.
        say: told what there is to say beside it, such as whom it follows.

    Raises:
        KeyboardInterrupt: interrupted while it followed another driver, which goes on.
        LeaseLostError: another driver has taken the job over.
        StoreUnavailableError: the store does not answer; nothing is lost.
    """
    button, clock, show = StopButton(), SystemClock(), on_status or (lambda _status: None)
    say = say or (lambda _text: None)
    if conditional is None:
        conditional = probe_conditional(store)
        if not conditional:
            say(unconditional_warning(store))
    with telling(os.environ, say=say) as told, interrupts_press(button):
        lease = lease_of(store, job.id, clock=clock, conditional=conditional)
        following = Following(lease, store, clock=clock, button=button, on_status=show, say=say)
        try:
            ended = following.until_taken_or_ended()
            if ended is not None:
                return ended
            with repeated(lease=(lease.beat, 1.0)):
                if nodes_here is not None:
                    _, settings = latest_settings(store, job.id)
                    put_settings(store, job.id, replace(settings, nodes=nodes_here))
                return _drive_here(
                    job,
                    table,
                    store,
                    lease,
                    button,
                    clock=clock,
                    address=address,
                    workers=workers,
                    on_status=show,
                    told=told,
                    say=say,
                )
        finally:
            lease.release()


def _drive_here(
    job: Job,
    table: RequestTable,
    store: Store,
    lease: Lease,
    button: StopButton,
    *,
    clock: Clock,
    address: str | None,
    workers: int | None,
    on_status: Callable[[Status], None],
    told: Telling,
    say: Callable[[str], None],
) -> Status:
    """Drive with the lease in hand; lease, orders and log are kept up beside the driver's loop."""
    number, settings = latest_settings(store, job.id)
    orders = StoredOrders(store, job.id, button=button, clock=clock, number=number, settings=settings)
    prices = prices_of(store, clock)
    recorder = Recorder()
    store = MeasuredStore(store)
    month = MonthSpend(store, job, settings=lambda: orders.settings, now=lambda: datetime.now(UTC))
    month.look()
    log = JobLog(
        FencedStore(store, lease),
        job.id,
        stream=lambda: f"{lease.fence:08d}",
        environ=os.environ,
        here={"node": "driver"},
    )
    with (
        logged(log),
        repeated(
            orders=(orders.look, 0.5),
            month=(month.look, 30.0),
            log=(log.put, 5.0),
            metrics=(exporter(recorder, address), 2.0),
        ),
        ThreadPoolExecutor(STORE_THREADS, "store") as executor,
        ThreadPoolExecutor(1, "ledger") as background,
        ThreadPoolExecutor(1, "prices") as asking,
        workers_of(
            job,
            replace(settings, nodes=priced_now(settings.nodes, prices, clock=clock, executor=executor)),
            store,
            address=address,
            workers=workers,
            clock=clock,
        ) as compute,
    ):
        _LOG.info("driver %d begins: %s, spotrender %s", lease.fence, this_process(), __version__)
        told.begin(lambda: orders.settings)

        def hear(status: Status) -> None:
            told.look(status)
            on_status(status)

        world = World(
            store=store,
            compute=compute,
            clock=clock,
            executor=executor,
            background=background,
            new_attempt=lambda: uuid.uuid4().hex[:16],
            on_status=hear,
            pricing=pricing_of(lambda: orders.settings.nodes, prices, asking),
            billing=billing_rules(),
            storage_rates=storage_rates(store.uri, os.environ),
            workers=workers,
            others_usd=lambda: month.usd,
            head=head_price(os.environ, address=address),
            metrics=recorder,
        )
        try:
            status = obey(job, table, world, orders, lease=lease)
        except Exception as error:
            _LOG.warning("driver ends with %s: %s", type(error).__name__, error)
            told.broke(job.id, error, fence=lease.fence)
            raise
        write_page(FencedStore(store, lease), job.id)
        deliver_at_end(store, job, orders.settings, status, say=say, stop=lambda: button.pressed is not None)
        _LOG.info("driver leaves the job %s: %s", status.state.value, status.message or status.phase)
        return status


def exporter(recorder: Recorder, address: str | None) -> Callable[[], None]:
    """What shows a driver's metrics, again and again; without a Ray nobody can ask for them."""
    if address == IN_PROCESS:
        return lambda: None
    from infra.compute.ray_metrics import RayExport

    return RayExport(recorder).export


def lease_of(store: Store, job: str, *, clock: Clock, conditional: bool = True) -> Lease:
    """The lease of a job, for this process to take."""
    return Lease(
        store,
        job,
        owner=this_process(),
        token=uuid.uuid4().hex,
        clock=clock,
        is_dead=is_gone,
        conditional=conditional,
    )


def is_driven(store: Store, job: str) -> bool:
    """Whether somebody holds the lease of a job, as far as one look tells."""
    return not lease_of(store, job, clock=SystemClock()).look()[1]


def unconditional_warning(store: Store) -> str:
    """What to know of a store that ignores the conditions of a write."""
    return (
        f"{store.uri} does not honour conditional writes: two drivers of one job are kept apart only by looking twice,"
        " so start no second one; images are safe even then"
    )


def who_asks() -> str:
    """The user of this process, as orders name them: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


@contextmanager
def stored_requests(store: Store, job: Job) -> Iterator[RequestTable]:
    """The requests of a job, copied from the store for as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="spotrender-") as folder, ThreadPoolExecutor(4) as executor:
        files = [Path(folder) / f"{number:05d}.parquet" for number in range(job.request_files)]
        list(executor.map(lambda n: store.download(requests_key(job.id, n), str(files[n])), range(len(files))))
        yield RequestTable(files, job.variants)


def stored_job(store: Store, job: str) -> Job:
    """A job as it was frozen. Raises: JobRefusedError: there is none of this id."""
    try:
        return job_from_json(store.get(job_key(job)))
    except NotFoundError:
        raise JobRefusedError(f"{store.uri} holds no job {job}; `spotrender list` shows those that it has") from None


def head_python(place: str) -> tuple[str, ...]:
    """The first words of a command for a cluster's head: its Python at this place, else the one on its PATH."""
    return ("sh", "-c", '[ -x "$0" ] || exec python "$@"; exec "$0" "$@"', place)


def hand_over(job: Job, store: Store, *, address: str | None, workers: int | None) -> str:
    """Start the driver of a job on a Ray cluster's head; gives the id under which Ray knows it.

    Raises:
        ClusterRefusedError: no address, or the cluster could not reach what this machine has.
    """
    from infra.compute.ray_jobs import submit_driver

    if address is None:
        raise ClusterRefusedError("--detach needs --address of the cluster's dashboard, such as http://10.0.0.5:8265")
    command = [*head_python(sys.executable), "-P", "-m", "jobs.driver", job.id, "--store", store.uri]
    if workers is not None:
        command += ["--workers", str(workers)]
    return submit_driver(address, submission_id=job.id, command=command)
