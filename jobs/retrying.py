"""Try failed images of a job again: records forgive their failures, so that the next driver finds them missing."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from jobs.nearest import did_you_mean
from jobs.undriven import tell, undriven
from jobs.watching.listing import find_job, read_job
from jobs.watching.wait import instant
from pipeline.clean_up.packs import with_packed
from pipeline.errors import JobRefusedError
from pipeline.job import Job, JobState
from pipeline.layout import record_task
from pipeline.ledger.buckets import read_records, record_infos
from pipeline.ledger.checkpoint import ledger_tables
from pipeline.plan import task_number
from pipeline.ports import Clock, Store
from pipeline.record import Cause, Outcome, Record
from pipeline.status import Status, read_status
from pipeline.working.commit import put_record

THREADS = 16
"""Records read at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgiven:
    """Which failures count no longer."""

    job: Job
    status: Status | None
    """As the job stands now."""
    images: int
    """To be tried again."""
    causes: Mapping[str, int]
    """How many for which cause."""
    left: int
    """Failed images of other causes."""


def forgive(
    store: Store,
    text: str,
    *,
    causes: Collection[str] = (),
    attempt: str,
    clock: Clock,
    say: Callable[[str], None] = lambda _text: None,
) -> Forgiven:
    """Let failed images count as missing again; what they cost stays in the ledger as lost_to_failure.

    The job becomes STOPPED first, so that nobody takes it for finished. Dying in between, it can be done again.

    Args:
        store: where the job lies.
        text: which one.
        causes: only failures of these; all when empty.
        attempt: a unique id without `-`; names the records.
        clock: time.
        say: told what is waited for.

    Raises:
        JobRefusedError: no such job or cause, or a driver is at work on the job.
    """
    unknown = sorted(set(causes) - set(Cause))
    if unknown:
        hint = did_you_mean(unknown[0].upper(), list(Cause)) or f"; there are {', '.join(Cause)}"
        raise JobRefusedError(f'--cause: there is no cause "{unknown[0]}"{hint}')
    job = read_job(store, find_job(store, text))
    remedy = f"`spotrender wait {job.id}` for its end, or cancel it; then retry what failed"
    with (
        undriven(store, job.id, remedy=remedy, clock=clock, say=say) as lease,
        ThreadPoolExecutor(THREADS) as executor,
    ):
        failed = _failures(store, job, executor)
        chosen = {row["image_id"]: row for row in failed if not causes or row["cause"] in causes}
        status = read_status(store, job.id)
        if chosen and status is not None:
            status = tell(
                store,
                lease,
                status,
                instant(clock.now_ns()),
                state=JobState.STOPPED,
                phase="retry",
                failed=max(0, status.failed - len(chosen)),
                message=f"failed images to be tried again: {len(chosen)}; submit or resume it to go on",
            )
        for task in sorted({record_task(row["record"]) for row in chosen.values()}):
            number = task_number(task)
            infos = record_infos(store, job, range(number, number + 1))
            listed = read_records(store, infos, executor)
            failures = tuple(
                f"{stored.record.name}/{image.image_id}"
                for stored in with_packed(store, job, number // job.sizes.tasks_per_bucket, listed)
                for image in stored.record.images
                if stored.record.task == task and image.outcome is Outcome.FAILED and image.image_id in chosen
            )
            lease.confirm()
            put_record(store, Record(job=job.id, task=task, attempt=attempt, sequence=0, node=None, forgives=failures))
    counts = Counter(row["cause"] for row in chosen.values())
    return Forgiven(job=job, status=status, images=len(chosen), causes=counts, left=len(failed) - len(chosen))


def _failures(store: Store, job: Job, executor: Executor) -> list[dict[str, str]]:
    """`image_id`, `cause` and `record` of every image that is given up; memory is that of these alone."""
    import pyarrow.compute as pc

    columns = ["image_id", "cause", "record", "outcome"]
    found: list[dict[str, str]] = []
    for _, table, _ in ledger_tables(store, job, executor, columns):
        found += table.filter(pc.equal(table["outcome"], Outcome.FAILED.value)).to_pylist()
    return found
