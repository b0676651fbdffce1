"""Packed records: clean-up puts those of an ended job's sealed bucket into one object, word for word.

Their own objects go then. Nothing is lost by it: with what the store said of its time, a packed record counts as it did
before. Packs are read only where a bucket must be written anew; else the sealed bucket says all.
"""

import io
from collections.abc import Collection
from concurrent.futures import Executor
from datetime import UTC

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import NotFoundError
from pipeline.job import Job
from pipeline.layout import packed_key, packed_prefix
from pipeline.ledger.buckets import bucket_name, read_records, record_infos
from pipeline.ledger.tally import StoredRecord
from pipeline.ports import Store
from pipeline.record import record_from_json, record_to_json

_SCHEMA = pa.schema([("name", pa.string()), ("modified_at", pa.timestamp("us", tz="UTC")), ("record", pa.binary())])


def pack(stored: Collection[StoredRecord]) -> bytes:
    """Records as one object, by name."""
    rows = [
        {"name": item.record.name, "modified_at": item.modified_at, "record": record_to_json(item.record)}
        for item in sorted(stored, key=lambda item: item.record.name)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def unpack(body: bytes) -> list[StoredRecord]:
    """What `pack` was given."""
    return [
        StoredRecord(record=record_from_json(row["record"]), modified_at=row["modified_at"].astimezone(UTC))
        for row in pq.read_table(io.BytesIO(body)).to_pylist()
    ]


def read_pack(store: Store, job: Job, bucket: int) -> list[StoredRecord]:
    """The packed records of a bucket; empty where none are."""
    try:
        return unpack(store.get(packed_key(job.id, bucket_name(bucket))))
    except NotFoundError:
        return []


def with_packed(store: Store, job: Job, bucket: int, listed: list[StoredRecord]) -> list[StoredRecord]:
    """The records of a bucket that have objects of their own, and the packed ones that have none any more."""
    names = {item.record.name for item in listed}
    return [*(item for item in read_pack(store, job, bucket) if item.record.name not in names), *listed]


def packed_buckets(store: Store, job: Job) -> set[int]:
    """Those of which some records are packed."""
    prefix = packed_prefix(job.id)
    return {int(info.key.removeprefix(prefix).removesuffix(".parquet")) for info in store.list(prefix)}


def all_records(store: Store, job: Job, executor: Executor) -> list[StoredRecord]:
    """Every record of a job: those with objects of their own, and packed ones."""
    listed = read_records(store, record_infos(store, job), executor)
    names = {item.record.name for item in listed}
    packed = (item for bucket in sorted(packed_buckets(store, job)) for item in read_pack(store, job, bucket))
    return [*(item for item in packed if item.record.name not in names), *listed]
