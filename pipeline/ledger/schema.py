"""The columns of the ledger, which outside readers rely on."""

import io
import json
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

LEDGER_SCHEMA = 1
"""Version of the files, kept in their metadata."""

_MONEY = pa.decimal128(18, 9)
_INSTANT = pa.timestamp("us", tz="UTC")

IMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("key", pa.string()),
        ("task_id", pa.string()),
        ("attempt_id", pa.string()),
        ("outcome", pa.string()),
        ("cause", pa.string()),
        ("node_session", pa.string()),
        ("provider", pa.string()),
        ("node_type", pa.string()),
        ("market", pa.string()),
        ("gpu", pa.string()),
        ("region", pa.string()),
        ("zone", pa.string()),
        ("model", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("steps", pa.int32()),
        ("batch_size", pa.int32()),
        ("started_at", _INSTANT),
        ("ended_at", _INSTANT),
        ("gpu_seconds", pa.float64()),
        ("usd", _MONEY),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("tags", pa.map_(pa.string(), pa.string())),
        # Beyond the contract: what was paid whatever became of the image (`usd` is 0 unless it was rendered), in
        # whole nanoseconds, and the record that says so.
        ("spent_gpu_nanoseconds", pa.int64()),
        ("spent_usd", _MONEY),
        ("record", pa.string()),
        ("message", pa.string()),
        # Of the batch: the most that the device held at once, and what its driver told; null where nobody did.
        ("precision", pa.string()),
        ("memory_bytes", pa.int64()),
        ("gpu_busy", pa.float64()),
        ("gpu_watts", pa.float64()),
    ]
)

CATEGORIES = (
    "rendering",
    "startup",
    "lost_to_preemption",
    "lost_to_failure",
    "duplicate",
    "idle",
    "unattributed",
)

STARTUP_PARTS = ("boot", "load", "compile")
"""What `startup` is made of."""

NODES = pa.schema(
    [
        ("node_session", pa.string()),
        ("node_id", pa.string()),
        ("provider", pa.string()),
        ("node_type", pa.string()),
        ("market", pa.string()),
        ("gpu", pa.string()),
        ("gpu_count", pa.int32()),
        ("region", pa.string()),
        ("zone", pa.string()),
        ("started_at", _INSTANT),
        ("ended_at", _INSTANT),
        ("terminated_by", pa.string()),
        ("usd_per_hour", _MONEY),
        ("price_source", pa.string()),
        ("accrued_usd", _MONEY),
        ("billable_usd", _MONEY),
        *((f"{category}_seconds", pa.float64()) for category in CATEGORIES),
        *((f"{category}_usd", _MONEY) for category in CATEGORIES),
        # Beyond the contract: the same times in whole nanoseconds, in which they add up exactly.
        ("lifetime_gpu_nanoseconds", pa.int64()),
        *((f"{category}_nanoseconds", pa.int64()) for category in CATEGORIES),
        # Up to when a session that still runs is counted.
        ("heartbeat_at", _INSTANT),
        # GPUs of the whole node, among which its price is divided: `gpu_count` of them are this job's.
        ("node_gpus", pa.int32()),
        # When the instance was launched, as far as is known: minimum and free hour count from then.
        ("launched_at", _INSTANT),
        # The price of the whole node over the session; `usd_per_hour` is the mean where there are several.
        ("prices", pa.list_(pa.struct([("since", _INSTANT), ("usd_per_hour", _MONEY)]))),
        # What `startup` was: together exactly that; null where the job's drivers did not tell it apart.
        *((f"{part}_seconds", pa.float64()) for part in STARTUP_PARTS),
        *((f"{part}_usd", _MONEY) for part in STARTUP_PARTS),
        *((f"{part}_nanoseconds", pa.int64()) for part in STARTUP_PARTS),
    ]
)

SORTED_BY = {"images": ("task_id", "image_id", "record"), "nodes": ("started_at", "node_session")}
"""Order of the rows within a file, which its metadata tells; with each column's least and greatest value beside every
row group, a reader skips what it does not ask for. Whole jobs and days are skipped by the folders' names alone."""

LATER_COLUMNS = frozenset({"heartbeat_at", "node_gpus", "launched_at", "prices"}) | {
    f"{part}_{unit}" for part in STARTUP_PARTS for unit in ("seconds", "usd", "nanoseconds")
}
"""Columns that nodes files of this schema version, written before they were added, do not have: read as null."""

LATER_IMAGE_COLUMNS = frozenset({"precision", "memory_bytes", "gpu_busy", "gpu_watts"})
"""The same of images files."""


def ledger_file(kind: Literal["images", "nodes"], table: pa.Table, **facts: object) -> bytes:
    """A file of the ledger: rows in `SORTED_BY` order, statistics for every column, and what is known of the whole.

    Args:
        kind: which ledger.
        table: its rows, in order.
        **facts: kept in the metadata beside the schema's version.
    """
    told = {b"spotrender": json.dumps({"schema": LEDGER_SCHEMA} | facts).encode()}
    order = [(name, "ascending") for name in SORTED_BY[kind]]
    sorting = pq.SortingColumn.from_ordering(table.schema, order)
    sink = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(told), sink, compression="zstd", write_statistics=True, sorting_columns=sorting
    )
    return sink.getvalue()
