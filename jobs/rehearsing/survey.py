"""What reclaims did to a job, and whether every promise was kept: read from its store alone.

Whoever reclaimed the nodes is not asked; records, ledger, node sessions and requests say it all.
"""

import io
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.committed import fetch_requests
from jobs.verify import verify
from jobs.watching.listing import read_job
from jobs.watching.status import view
from pipeline.clean_up.packs import all_records
from pipeline.job import Job
from pipeline.layout import job_folder, ledger_nodes_key
from pipeline.ledger.accounts import read_sessions
from pipeline.ledger.checkpoint import ledger_tables
from pipeline.ledger.schema import CATEGORIES, IMAGES
from pipeline.ledger.tally import tally
from pipeline.ports import Store
from pipeline.record import Cause, Record
from pipeline.status import read_status, status_from_json

_THREADS = 16
_THERE = ["rendered", "reused"]
_IMAGES = ["image_id", "outcome", "cause", "node_session", "usd", "ended_at"]

_NOBODYS_FAULT = [
    cause.value for cause in (Cause.PREEMPTED, Cause.HANDED_BACK, Cause.INFRASTRUCTURE, Cause.STORE_UNAVAILABLE)
]
"""An image that failed for one of these was lost: there was nothing wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One job, as its store tells it."""

    job: str
    state: str
    images: int
    """That the manifest asks for, each counted once."""
    images_there: int
    images_failed: int
    """Refused by pipeline, gate or memory; no reclaim's doing."""
    images_lost: int
    """Neither there nor failed for a reason of their own, or there with bytes that are not their record's."""
    images_counted_twice: int
    nodes: int
    """Node sessions."""
    reclaims: int
    """Node sessions that ended because the node was taken."""
    announced: int
    """Of them, those that the job was told of before."""
    batches_lost: int
    """Batches that took a GPU and were never committed."""
    lost_gpu_seconds: float
    """On batches that were not committed, by reclaims and by failures."""
    duplicate_gpu_seconds: float
    startup_gpu_seconds: float
    rendering_gpu_seconds: float
    capacity_gpu_seconds: float
    """GPUs x time that the nodes were there, from the first one until the last batch."""
    seconds: float
    """From the first node until the last batch left its device."""
    first_startup_gpu_seconds: float
    """What the nodes that the job began with took to start."""
    retries: dict[str, int]
    """By cause."""
    broken: tuple[str, ...]
    """Promises that were not kept; empty when all is well."""

    @property
    def work_gpu_seconds(self) -> float:
        """What the job takes where nobody disturbs it, estimated from itself: its start and its rendering."""
        return self.rendering_gpu_seconds + self.first_startup_gpu_seconds


def survey(store: Store, job_id: str, *, nodes_at_first: int) -> Survey:
    """Look at everything that the job left.

    Args:
        store: where it lies.
        job_id: its id.
        nodes_at_first: how many nodes it began with.

    Raises:
        StoreUnavailableError: the store does not answer.
        JobRefusedError: there is no such job.
    """
    job = read_job(store, job_id)
    status = read_status(store, job_id)
    with ThreadPoolExecutor(_THREADS) as executor:
        wanted = _wanted(store, job, executor)
        ledger = _images_ledger(store, job, executor)
        records = _records(store, job, executor)
    nodes = _nodes_ledger(store, job)
    there = ledger.filter(pc.is_in(ledger["outcome"], pa.array(_THERE)))
    failed = ledger.filter(pc.equal(ledger["outcome"], "failed"))
    faultless = failed.filter(pc.is_in(failed["cause"], pa.array(_NOBODYS_FAULT)))
    each = pc.value_counts(there["image_id"])
    twice = sum(1 for entry in each if entry["counts"].as_py() > 1)
    known = pa.concat_arrays([*there["image_id"].chunks, *failed["image_id"].chunks, pa.array([], pa.string())])
    missing = len(wanted) - (pc.sum(pc.is_in(wanted, known)).as_py() or 0)
    strangers = len(each) - (pc.sum(pc.is_in(each.field("values"), wanted)).as_py() or 0)
    findings = verify(store, view(job, status, now=datetime.now(UTC))).findings
    spans = _Spans.of(nodes, there, nodes_at_first)
    lost = missing + len(faultless) + len(findings)
    broken = [
        *_counted("image", missing, "missing: neither there nor failed"),
        *_counted("image", len(faultless), "given up though nothing was wrong with it"),
        *[f"{finding.key}: {finding.message}" for finding in findings],
        *_counted("image", twice, "counted twice"),
        *_counted("image", strangers, "in the ledger that nobody asked for"),
        *_unbalanced(nodes, ledger),
    ]
    return Survey(
        job=job_id,
        state=status.state.value if status else "PENDING",
        images=len(wanted),
        images_there=len(each),
        images_failed=len(failed) - len(faultless),
        images_lost=lost,
        images_counted_twice=twice,
        nodes=len(nodes),
        reclaims=sum(row["terminated_by"] in {"reclaimed", "lost"} for row in nodes),
        announced=sum(row["terminated_by"] == "reclaimed" for row in nodes),
        batches_lost=len(_lost_batches(store, job) - {(record.attempt, record.sequence) for record in records}),
        lost_gpu_seconds=_seconds(nodes, "lost_to_preemption") + _seconds(nodes, "lost_to_failure"),
        duplicate_gpu_seconds=_seconds(nodes, "duplicate"),
        startup_gpu_seconds=_seconds(nodes, "startup"),
        rendering_gpu_seconds=_seconds(nodes, "rendering"),
        capacity_gpu_seconds=spans.capacity_gpu_seconds,
        seconds=spans.seconds,
        first_startup_gpu_seconds=spans.first_startup_gpu_seconds,
        retries=_retries(store, job_id),
        broken=tuple(broken),
    )


def differing(store: Store, undisturbed: Store, job_id: str) -> tuple[int, int]:
    """Images that both stores hold of one profile, and how many of them have other bytes in one than in the other."""
    with ThreadPoolExecutor(_THREADS) as executor:
        here, there = (_bytes_of(one, read_job(one, job_id), executor) for one in (store, undisturbed))
    same = [key for key in here if key in there]
    return len(same), sum(here[key] != there[key] for key in same)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spans:
    """How long the nodes were there."""

    seconds: float
    capacity_gpu_seconds: float
    first_startup_gpu_seconds: float

    @classmethod
    def of(cls, nodes: list[dict[str, Any]], there: pa.Table, nodes_at_first: int) -> "_Spans":
        """Counted until the last batch left its device: closing the books is no use of a node."""
        last = pc.max(there["ended_at"]).as_py()
        if not nodes or last is None:
            return cls(seconds=0.0, capacity_gpu_seconds=0.0, first_startup_gpu_seconds=0.0)
        in_order = sorted(nodes, key=lambda row: row["started_at"])
        first = in_order[0]["started_at"]
        capacity = sum(
            row["gpu_count"] * max(0.0, (min(row["ended_at"] or last, last) - row["started_at"]).total_seconds())
            for row in nodes
        )
        startup = sum(row["startup_seconds"] for row in in_order[:nodes_at_first])
        return cls(
            seconds=(last - first).total_seconds(),
            capacity_gpu_seconds=capacity,
            first_startup_gpu_seconds=startup,
        )


def _wanted(store: Store, job: Job, executor: Executor) -> pa.Array:
    """The distinct image ids of the requests files."""
    with TemporaryDirectory(prefix="spotrender-") as folder:
        files = fetch_requests(store, job, Path(folder), executor)
        ids = [pq.read_table(file, columns=["image_id"])["image_id"] for file in files]
        return pc.unique(pa.chunked_array([chunk for column in ids for chunk in column.chunks], type=pa.string()))


def _images_ledger(store: Store, job: Job, executor: Executor) -> pa.Table:
    """All rows of the images ledger, as readers of the job see them."""
    tables = [
        table.select(_IMAGES).replace_schema_metadata(None)
        for _, table, _ in ledger_tables(store, job, executor, _IMAGES)
    ]
    return pa.concat_tables([IMAGES.empty_table().select(_IMAGES), *tables])


def _nodes_ledger(store: Store, job: Job) -> list[dict[str, Any]]:
    """All rows of the nodes ledger; there are a few hundred at most."""
    prefix = ledger_nodes_key(job.date, job.id, "")[: -len(".parquet")]
    rows: list[dict[str, Any]] = []
    for info in store.list(prefix):
        rows += pq.read_table(io.BytesIO(store.get(info.key))).to_pylist()
    return rows


def _records(store: Store, job: Job, executor: Executor) -> Iterator[Record]:
    """All records, in no order."""
    return (stored.record for stored in all_records(store, job, executor))


def _lost_batches(store: Store, job: Job) -> set[tuple[str, int]]:
    """Batches that the node sessions' books gave up."""
    return {key for session in read_sessions(store, job.id).values() for key in session.lost}


def _bytes_of(store: Store, job: Job, executor: Executor) -> dict[tuple[str, str], str]:
    """(image id, profile) -> hash, of the images that count."""
    stored = all_records(store, job, executor)
    return {
        (row.image.image_id, repr(row.record.profile)): row.image.sha256
        for row in tally(stored)
        if row.outcome in {"rendered", "duplicate"}
    }


def _seconds(nodes: list[dict[str, Any]], category: str) -> float:
    return sum((int(row[f"{category}_nanoseconds"]) for row in nodes), 0) / 1e9


def _retries(store: Store, job_id: str) -> dict[str, int]:
    """What the job's drivers say, all together."""
    total: Counter[str] = Counter()
    for info in store.list(f"{job_folder(job_id)}status/"):
        total.update(status_from_json(store.get(info.key)).retries)
    return dict(total.most_common())


def _unbalanced(nodes: list[dict[str, Any]], ledger: pa.Table) -> Iterator[str]:
    """Node sessions whose seven categories are not their lifetime and price, or whose images cost something else."""
    rendered = ledger.filter(pc.equal(ledger["outcome"], "rendered"))
    sums = rendered.group_by("node_session").aggregate([("usd", "sum")]).to_pylist()
    cost = {row["node_session"]: row["usd_sum"] for row in sums}
    for row in nodes:
        name = row["node_session"]
        if sum(row[f"{one}_nanoseconds"] for one in CATEGORIES) != row["lifetime_gpu_nanoseconds"]:
            yield f"node session {name}: its categories do not add up to its lifetime"
        if sum(row[f"{one}_usd"] for one in CATEGORIES) != row["accrued_usd"]:
            yield f"node session {name}: its categories do not add up to its price"
        if row["unattributed_nanoseconds"] or row["unattributed_usd"]:
            yield f"node session {name}: {row['unattributed_seconds']:.3f} s belong to nobody"
        if cost.pop(name, 0) != row["rendering_usd"]:
            yield f"node session {name}: its images do not cost what it rendered for"
    yield from (f"node session {name}: images of it are in the ledger, the session is not" for name in cost)


def _counted(what: str, count: int, state: str) -> list[str]:
    """A line when there are any."""
    return [f"{count:,} {what}{'' if count == 1 else 's'} {state}"] if count else []
