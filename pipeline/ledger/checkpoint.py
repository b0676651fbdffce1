"""What of a job is in the store: read from its sealed ledger buckets and the few records outside them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.clean_up.packs import packed_buckets, read_pack, with_packed
from pipeline.job import Job
from pipeline.layout import record_name, record_task
from pipeline.ledger.books import Span
from pipeline.ledger.bucket_table import bucket_table
from pipeline.ledger.buckets import (
    made_with,
    nanoseconds,
    read_records,
    record_infos,
    rowless,
    sealed_buckets,
    told_table,
)
from pipeline.ledger.nodes import Spent
from pipeline.ledger.repricing import MadeWith, SessionPrices
from pipeline.ledger.tally import StoredRecord
from pipeline.plan import Plan, task_number
from pipeline.ports import ObjectInfo, Store
from pipeline.pricing.money import nano_usd
from pipeline.record import COLLECTED, Record
from pipeline.request_table import id_words

COMMITTED = ("image_id", "key", "sha256", "bytes", "outcome", "cause", "record", "message")
"""What is told of each image that counts, where nobody asks for more or less."""

MISSING, RENDERED, REUSED, FAILED = 0, 1, 2, 3
"""What `Checkpoint.state` holds for each image of the plan."""

_CODES = {"rendered": RENDERED, "reused": REUSED, "failed": FAILED}


@dataclass(slots=True, kw_only=True)
class Checkpoint:
    """Where a job stands."""

    state: NDArray[np.uint8]
    """One code for each image, in the plan's order."""
    sealed: set[int] = field(default_factory=set)
    """Buckets that are complete in the ledger."""
    records: dict[int, dict[str, Record]] = field(default_factory=dict)
    """Records of the other buckets, by bucket and name."""
    spent: dict[int, Spent] = field(default_factory=dict)
    """By bucket: device time and cost of all ledger rows, by node session and outcome."""
    last_seen_ns: dict[str, int] = field(default_factory=dict)
    """By node session: when its last batch left the device."""
    counts: Counter[int] = field(default_factory=Counter)
    """By bucket: how many records the store listed."""
    made: Counter[str] = field(default_factory=Counter)
    """By node session: images rendered."""
    packed: set[int] = field(default_factory=set)
    """Buckets of which clean-up has packed records."""
    made_with: dict[int, MadeWith] = field(default_factory=dict)
    """By sealed bucket: how it came about, its prices above all."""


def read_checkpoint(
    store: Store, job: Job, plan: Plan, executor: Executor, prices: SessionPrices = MappingProxyType({})
) -> Checkpoint:
    """Find out what is there. Takes a listing of the records, the sealed buckets, and the records outside them.

    Args:
        store: where.
        job: whose.
        plan: its tasks.
        executor: reads in parallel.
        prices: of the job's node sessions, for records that are in no bucket yet.
    """
    checkpoint = Checkpoint(state=np.zeros(plan.images, dtype=np.uint8))
    tables = ledger_tables(store, job, executor, counts=checkpoint.counts, packed=checkpoint.packed, prices=prices)
    for bucket, table, stored in tables:
        if stored is None:
            checkpoint.sealed.add(bucket)
            checkpoint.made_with[bucket] = made_with(table)
        else:
            checkpoint.records[bucket] = {item.record.name: item.record for item in stored}
        _enter(checkpoint.state, plan, table)
        checkpoint.spent[bucket] = spent_in(table)
        see(checkpoint.last_seen_ns, table)
        rendered = table.filter(pc.equal(table["outcome"], "rendered"))["node_session"]
        checkpoint.made.update({row["values"]: row["counts"] for row in pc.value_counts(rendered).to_pylist()})
    for bucket in list(checkpoint.sealed):
        places = plan.tasks_of(bucket)
        first, last = plan[places.start].places.start, plan[places.stop - 1].places.stop
        if (checkpoint.state[first:last] == MISSING).any():
            checkpoint.sealed.discard(bucket)
    return checkpoint


def ledger_tables(
    store: Store,
    job: Job,
    executor: Executor,
    columns: Sequence[str] | None = None,
    *,
    counts: Counter[int] | None = None,
    packed: set[int] | None = None,
    prices: SessionPrices = MappingProxyType({}),
) -> Iterator[tuple[int, pa.Table, list[StoredRecord] | None]]:
    """The ledger rows of every bucket that has any: sealed ones as they are (no records), others from their records.

    Args:
        store: of the job.
        job: whose.
        executor: reads in parallel.
        columns: which ones.
        counts: takes in how many records of each bucket have objects of their own.
        packed: takes in the buckets of which records are packed.
        prices: of the job's node sessions, for rows that are made from their records.
    """
    infos: dict[int, list[ObjectInfo]] = {}
    counts = Counter() if counts is None else counts
    per_bucket = job.sizes.tasks_per_bucket
    for info in record_infos(store, job):
        bucket = task_number(record_task(info.key)) // per_bucket
        counts[bucket] += 1
        infos.setdefault(bucket, []).append(info)
    packed = set() if packed is None else packed
    packed |= packed_buckets(store, job)
    there = counts | Counter({bucket: _union(store, job, bucket, infos[bucket]) for bucket in packed & infos.keys()})
    for bucket, table in sealed_buckets(store, job, there, executor, columns):
        infos.pop(bucket, None)
        yield bucket, table, None
    for bucket in sorted(infos):
        stored = read_records(store, infos[bucket], executor)
        stored = with_packed(store, job, bucket, stored) if bucket in packed else stored
        table = told_table(stored, prices)
        yield bucket, table if columns is None else table.select(list(columns)), stored


def _union(store: Store, job: Job, bucket: int, infos: Iterable[ObjectInfo]) -> int:
    """How many records a bucket has that are packed, or have objects of their own, or both."""
    listed = {record_name(info.key) for info in infos}
    return len(listed | {item.record.name for item in read_pack(store, job, bucket)})


def committed_table(store: Store, job: Job, executor: Executor, columns: Sequence[str] = COMMITTED) -> pa.Table:
    """One row for each image that counts, with these columns of the ledger, `outcome` among them."""
    read = list(dict.fromkeys([*columns, "outcome", "cause"]))
    tables = [table for _, table, _ in ledger_tables(store, job, executor, read)]
    empty = bucket_table([]).select(read)
    table = pa.concat_tables([empty, *(table.replace_schema_metadata(None) for table in tables)])
    return table.filter(pc.and_(pc.not_equal(table["outcome"], "duplicate"), is_kept(table))).select(list(columns))


def is_kept(table: pa.Table) -> pa.ChunkedArray:
    """For each ledger row whether it is of an image that was not collected since, as far as the ledger tells."""
    return pc.not_equal(pc.fill_null(table["cause"], ""), COLLECTED)


def spent_in(table: pa.Table) -> Spent:
    """Device time and cost of ledger rows, by node session and outcome; an empty outcome for what no row shows."""
    hidden = {(name, ""): Span(time, cost) for name, (time, cost) in rowless(table).items()}
    sums = table.group_by(["node_session", "outcome"]).aggregate(
        [("spent_gpu_nanoseconds", "sum"), ("spent_usd", "sum")]
    )
    return {
        (row["node_session"], row["outcome"]): Span(row["spent_gpu_nanoseconds_sum"], nano_usd(row["spent_usd_sum"]))
        for row in sums.to_pylist()
    } | hidden


def add_up(spent: Iterable[Spent]) -> dict[tuple[str, str], Span]:
    """The sums of several buckets."""
    total: dict[tuple[str, str], Span] = {}
    for some in spent:
        for key, span in some.items():
            total.setdefault(key, Span()).add(span)
    return total


def _enter(state: NDArray[np.uint8], plan: Plan, table: pa.Table) -> None:
    """Enter ledger rows into the state."""
    places = plan.find(id_words(table["image_id"]))
    outcomes = zip(table["outcome"].to_pylist(), table["cause"].to_pylist(), strict=True)
    codes = np.fromiter(
        (MISSING if cause == COLLECTED else _CODES.get(outcome, MISSING) for outcome, cause in outcomes),
        dtype=np.uint8,
        count=len(table),
    )
    counts = (places >= 0) & (codes != MISSING)
    state[places[counts]] = codes[counts]


def see(last_seen_ns: dict[str, int], table: pa.Table) -> None:
    """Note when each node session was last seen at work."""
    for row in table.group_by("node_session").aggregate([("ended_at", "max")]).to_pylist():
        if row["ended_at_max"] is not None:
            at_ns = nanoseconds(row["ended_at_max"]) + 1000
            last_seen_ns[row["node_session"]] = max(at_ns, last_seen_ns.get(row["node_session"], 0))
