"""Bytes of images that clean-up removed: they cost no storage any more, whatever else they cost."""

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.layout import collected_key
from pipeline.ports import Store
from pipeline.record import COLLECTED
from pipeline.reports.ledger import Ledger
from pipeline.status import read_status

_READERS = 16


def removed_bytes(ledger: Ledger, store: Store) -> Mapping[str, int]:
    """By job: bytes of rendered images whose files are gone. A store that was never cleaned costs one listing."""
    files = [info.key for info in store.list(collected_key("").removesuffix(".parquet"))]
    if not files:
        return {}
    with ThreadPoolExecutor(_READERS) as readers:
        told = dict(zip(ledger.jobs, readers.map(lambda job: _removed(store, job), ledger.jobs), strict=True))
    jobs = [job for job, removed in told.items() if removed]
    if not jobs:
        return {}
    columns = [pq.read_table(io.BytesIO(store.get(key)), columns=["key"])["key"] for key in files]
    keys = pa.chunked_array([chunk for column in columns for chunk in column.chunks], type=pa.string())
    rows = ledger.query(
        "SELECT job, key, bytes FROM images WHERE outcome = 'rendered' AND coalesce(cause, '') <> $cause"
        " AND list_contains($jobs, job)",
        cause=COLLECTED,
        jobs=jobs,
    )
    gone = rows.filter(pc.is_in(rows["key"].cast(pa.string()), value_set=keys.combine_chunks()))
    sums = gone.group_by("job").aggregate([("bytes", "sum")]).to_pylist()
    return {row["job"]: int(row["bytes_sum"] or 0) for row in sums}


def _removed(store: Store, job: str) -> int:
    """How many images of a job are gone, as its last driver or a clean-up told."""
    try:
        status = read_status(store, job)
    except (ValueError, KeyError, TypeError):
        return 0
    return status.collected if status else 0
