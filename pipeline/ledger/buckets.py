"""Ledger buckets: `<bucket>.parquet` is a pure function of its records, rewritten whole, sealed when all are there.

A sealed bucket says how many records it was made of. A job is resumed from its sealed buckets and the few records
outside them; a bucket that gained a record since (a late attempt, a repair) no longer counts as sealed.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import NotFoundError
from pipeline.job import Job
from pipeline.layout import ledger_images_key, record_task, records_prefix
from pipeline.ledger.bucket_table import bucket_table
from pipeline.ledger.repricing import MadeWith, SessionPrices, batch_cost, priced_until
from pipeline.ledger.schema import LEDGER_SCHEMA, ledger_file
from pipeline.ledger.tally import StoredRecord, tally
from pipeline.plan import task_id, task_number
from pipeline.ports import ObjectInfo, Store
from pipeline.pricing.money import nano_usd
from pipeline.record import Record, record_from_json

_FOOTER = b"spotrender"


def bucket_name(bucket: int) -> str:
    """Name of the n-th bucket."""
    return f"{bucket:06d}"


def record_infos(store: Store, job: Job, tasks: range | None = None) -> Iterator[ObjectInfo]:
    """The records of a job, or of a run of its tasks, as the store lists them, in the order of their names."""
    prefix = records_prefix(job.id)
    start = f"{prefix}{task_id(tasks.start)}" if tasks else ""
    for info in store.list(prefix, start_after=start):
        if tasks is not None and task_number(record_task(info.key)) not in tasks:
            return
        yield info


def read_records(
    store: Store, infos: Iterable[ObjectInfo], executor: Executor, known: Mapping[str, Record] | None = None
) -> list[StoredRecord]:
    """Read records, in parallel; those already known are not read again. Ones deleted meanwhile are left out."""
    known = known or {}

    def read(info: ObjectInfo) -> StoredRecord | None:
        name = info.key.rpartition("/")[2].removesuffix(".json")
        if name in known:
            return StoredRecord(record=known[name], modified_at=info.modified_at)
        try:
            return StoredRecord(record=record_from_json(store.get(info.key)), modified_at=info.modified_at)
        except NotFoundError:
            return None

    return [stored for stored in executor.map(read, infos) if stored is not None]


def seal(
    store: Store,
    job: Job,
    bucket: int,
    stored: Iterable[StoredRecord],
    *,
    done: bool,
    prices: SessionPrices = MappingProxyType({}),
) -> pa.Table:
    """Write one bucket from all of its records, at these prices; gives what was written."""
    stored = list(stored)
    table = told_table(stored, prices)
    facts = json.loads(table.schema.metadata[_FOOTER])
    priced = priced_until([item.record for item in stored], prices)
    facts |= {"sealed": done, "records": len(stored), "priced": priced}
    body = ledger_file("images", table, **facts)
    store.put(ledger_images_key(job.date, job.id, bucket_name(bucket)), body)
    return table.replace_schema_metadata({_FOOTER: json.dumps({"schema": LEDGER_SCHEMA} | facts).encode()})


def told_table(stored: Sequence[StoredRecord], prices: SessionPrices = MappingProxyType({})) -> pa.Table:
    """The rows of a bucket, with what its records spent beside them in the metadata: see `rowless`."""
    table = bucket_table(tally(stored), prices)
    spent: dict[str, list[int]] = {}
    for record in (item.record for item in stored):
        if record.node is not None:
            total = spent.setdefault(record.node.node_session, [0, 0])
            total[0] += record.gpu_nanoseconds
            total[1] += batch_cost(record, prices)
    sums = table.group_by("node_session").aggregate([("spent_gpu_nanoseconds", "sum"), ("spent_usd", "sum")])
    for row in sums.to_pylist():
        if (total := spent.get(row["node_session"], [0, 0])) != [0, 0]:
            total[0] -= row["spent_gpu_nanoseconds_sum"]
            total[1] -= nano_usd(row["spent_usd_sum"])
    left = {name: total for name, total in spent.items() if any(total)}
    return table.replace_schema_metadata({_FOOTER: json.dumps({"rowless": left}).encode()})


def rowless(table: pa.Table) -> dict[str, tuple[int, int]]:
    """What no row shows and was spent all the same, by node session: nanoseconds and nano-dollars.

    That is the share of pictures that the gate refused, of failures of images that are there, and of voided records.
    """
    facts = json.loads((table.schema.metadata or {}).get(_FOOTER, b"{}"))
    return {name: (time, cost) for name, (time, cost) in facts.get("rowless", {}).items()}


def sealed_buckets(
    store: Store, job: Job, counts: Mapping[int, int], executor: Executor, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.Table]]:
    """The buckets that are sealed and still hold all of their records, with their tables.

    Args:
        store: where to look.
        job: whose.
        counts: records in the store, by bucket; fewer than the bucket was made of is fine (clean-up deletes them).
        executor: reads in parallel, a few at a time.
        columns: which ones; by default those that a resume needs.
    """
    prefix = ledger_images_key(job.date, job.id, "")[: -len(".parquet")]
    names = [info.key.removeprefix(prefix).removesuffix(".parquet") for info in store.list(prefix)]

    wanted = list(columns or _RESUME_COLUMNS)

    def read(name: str) -> tuple[int, pa.Table]:
        table = pq.read_table(io.BytesIO(store.get(f"{prefix}{name}.parquet")), columns=wanted)
        return int(name), table

    for start in range(0, len(names), 8):
        for bucket, table in executor.map(read, names[start : start + 8]):
            facts = json.loads((table.schema.metadata or {}).get(_FOOTER, b"{}"))
            if facts.get("schema") == LEDGER_SCHEMA and facts["sealed"] and counts.get(bucket, 0) <= facts["records"]:
                yield bucket, table


def is_sealed(store: Store, job: Job, bucket: int, records: int) -> bool:
    """Whether a bucket is sealed and was made of at least so many records."""
    try:
        body = store.get(ledger_images_key(job.date, job.id, bucket_name(bucket)))
        facts = json.loads((pq.read_schema(io.BytesIO(body)).metadata or {}).get(_FOOTER, b"{}"))
    except (NotFoundError, pa.ArrowInvalid):
        return False
    return bool(facts.get("schema") == LEDGER_SCHEMA and facts["sealed"] and records <= facts["records"])


_RESUME_COLUMNS = ["image_id", "outcome", "cause", "node_session", "ended_at", "spent_gpu_nanoseconds", "spent_usd"]


def made_with(table: pa.Table) -> MadeWith:
    """How a bucket came about, from its footer; no prices for one of before prices could change."""
    facts = json.loads((table.schema.metadata or {}).get(_FOOTER, b"{}"))
    priced = {name: (until_ns, digest) for name, (until_ns, digest) in facts.get("priced", {}).items()}
    return MadeWith(records=facts.get("records", 0), priced=priced)


def instant(at_ns: int) -> datetime:
    """Nanoseconds since the epoch as an aware UTC instant, to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)


def nanoseconds(at: datetime) -> int:
    """An aware instant as nanoseconds since the epoch."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
