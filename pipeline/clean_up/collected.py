"""Images whose files clean-up removed: told from lost ones, in sixteen shards by the first digit of their ids.

A file counts as removed when it is named here and is not there: one that was made again since is simply there.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.driving.reuse import SHARDS
from pipeline.errors import NotFoundError
from pipeline.job import Job
from pipeline.layout import collected_key
from pipeline.ledger.checkpoint import is_kept, ledger_tables
from pipeline.ports import Store
from pipeline.record import Record
from pipeline.working.commit import put_record

_SCHEMA = pa.schema([("key", pa.string()), ("bytes", pa.int64()), ("at", pa.timestamp("us", tz="UTC"))])
_ID = slice(len("images/00/"), len("images/00/") + 64)


def add_collected(store: Store, files: Mapping[str, int], at: datetime) -> None:
    """Name files that are about to be removed; the caller holds the clean-up's lease.

    Args:
        store: whose.
        files: key -> bytes.
        at: the instant.
    """
    shards: dict[str, list[str]] = {}
    for key in files:
        shards.setdefault(key[_ID][0], []).append(key)
    for shard, keys in sorted(shards.items()):
        before = _read(store, shard)
        known = set(before["key"].to_pylist())
        rows = [{"key": key, "bytes": files[key], "at": at} for key in sorted(keys) if key not in known]
        if rows:
            sink = io.BytesIO()
            table = pa.concat_tables([before, pa.Table.from_pylist(rows, schema=_SCHEMA)])
            pq.write_table(table, sink, compression="zstd")
            store.put(collected_key(shard), sink.getvalue())


def named_collected(store: Store, keys: Iterable[str]) -> set[str]:
    """Which of these keys were collected at some time; one that was made again since may be there all the same."""
    shards: dict[str, set[str]] = {}
    for key in keys:
        shards.setdefault(key[_ID][:1], set()).add(key)
    return {key for shard, some in shards.items() for key in some & set(_read(store, shard)["key"].to_pylist())}


def removed_keys(store: Store, keys: Iterable[str], executor: Executor) -> set[str]:
    """Which of these keys were collected and are not there."""
    named = sorted(named_collected(store, keys))
    infos = executor.map(store.head, named)
    return {key for key, info in zip(named, infos, strict=True) if info is None}


def collected_ids(store: Store, extension: str) -> pa.Array:
    """Ids of all images that were ever collected as files of this ending; 64 digits each."""
    tables = [_read(store, shard)["key"] for shard in SHARDS]
    keys = pa.chunked_array([chunk for column in tables for chunk in column.chunks], type=pa.string())
    keys = keys.filter(pc.ends_with(keys, f".{extension}"))
    return pc.unique(pc.utf8_slice_codeunits(keys, _ID.start, _ID.stop))


def record_collected(store: Store, job: Job, executor: Executor, new_attempt: Callable[[], str]) -> None:
    """Say by records which images of a job have no file any more, so that it misses them again.

    What they cost stays in the ledger. May be done again from the start.

    Args:
        store: of the job, as its driver writes to it.
        job: whose.
        executor: looks in parallel.
        new_attempt: gives ids that no other attempt has.
    """
    columns = ["image_id", "key", "task_id", "cause", "record"]
    for _, table, _ in ledger_tables(store, job, executor, columns):
        rows = table.filter(pc.and_(is_kept(table), pc.not_equal(table["key"], ""))).to_pylist()
        gone = removed_keys(store, (row["key"] for row in rows), executor)
        lost = [row for row in rows if row["key"] in gone]
        if lost:
            names = tuple(f"{row['record']}/{row['image_id']}" for row in lost)
            task = min(row["task_id"] for row in lost)
            put_record(
                store, Record(job=job.id, task=task, attempt=new_attempt(), sequence=0, node=None, collects=names)
            )


def _read(store: Store, shard: str) -> pa.Table:
    """A shard; an empty one when there is none."""
    if shard not in SHARDS or not shard:
        return _SCHEMA.empty_table()
    try:
        return pq.read_table(io.BytesIO(store.get(collected_key(shard))), schema=_SCHEMA)
    except NotFoundError:
        return _SCHEMA.empty_table()
