"""Synthesises a ledger of any size: a job a day, each on twenty nodes, in buckets as drivers seal them."""

import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.ledger.schema import CATEGORIES, IMAGES, NODES, ledger_file

BUCKET = 4096
NODES_OF_A_JOB = 20
_FIRST_DAY = date(2026, 11, 1)
_NANO_USD = 40_000
"""Of each image: 0.4 s of a node of 0.36 dollars an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was made."""

    images: int
    files: int
    bytes: int
    usd: Decimal


def make_history(folder: Path, images: int, *, images_of_a_job: int = 1_000_000) -> History:
    """Write the ledger of a store."""
    files = size = 0
    for number in range(-(-images // images_of_a_job)):
        day = _FIRST_DAY + timedelta(days=number)
        job = f"nightly-{secrets.token_hex(8)}"
        count = min(images_of_a_job, images - number * images_of_a_job)
        names = [f"node{node:02d}-{job[-8:]}" for node in range(NODES_OF_A_JOB)]
        place = f"date={day.isoformat()}/job={job}"
        target = folder / "ledger/images" / place
        target.mkdir(parents=True)
        for bucket, start in enumerate(range(0, count, BUCKET)):
            body = ledger_file("images", _bucket(bucket, min(BUCKET, count - start), names), sealed=True, records=1)
            (target / f"{bucket:06d}.parquet").write_bytes(body)
            files, size = files + 1, size + len(body)
        target = folder / "ledger/nodes" / place
        target.mkdir(parents=True)
        (target / "000000.parquet").write_bytes(ledger_file("nodes", _nodes(names, count, day)))
    return History(images=images, files=files, bytes=size, usd=Decimal(images * _NANO_USD) / 10**9)


def _bucket(bucket: int, count: int, names: list[str]) -> pa.Table:
    """Rows of one bucket: ids, hashes and keys as random as real ones."""
    numbers = np.arange(count)
    tasks = pa.array(numbers // 64 + bucket * 64).cast(pa.string())
    started = pa.array(np.datetime64("2026-11-01T02:00:00", "us") + (numbers * 50_000).astype("timedelta64[us]"))
    columns = {
        "image_id": _hex(count, 64),
        "key": _hex(count, 95),
        "sha256": _hex(count, 64),
        "task_id": tasks,
        "attempt_id": tasks,
        "record": tasks,
        "node_session": pa.array(names).take(pa.array((numbers // 64 + bucket) % len(names))),
        "started_at": started.cast(pa.timestamp("us", "UTC")),
        "ended_at": started.cast(pa.timestamp("us", "UTC")),
        "gpu_seconds": pa.array(np.full(count, 0.4)),
        "bytes": pa.array(numbers + 1_000_000),
        "spent_gpu_nanoseconds": pa.array(np.full(count, 400_000_000)),
        "usd": _money(count, _NANO_USD),
        "spent_usd": _money(count, _NANO_USD),
        "tags": pa.array([[("campaign", f"c{number % 7}")] for number in range(count)], IMAGES.field("tags").type),
    }
    same = {
        "outcome": "rendered",
        "cause": "",
        "provider": "aws",
        "node_type": "g6.xlarge",
        "market": "spot",
        "gpu": "L4",
        "region": "us-east-1",
        "zone": "us-east-1a",
        "model": "sdxl",
        "width": 1024,
        "height": 1024,
        "steps": 30,
        "batch_size": 8,
        "message": "",
        "precision": "fp16",
        "memory_bytes": 15 << 30,
        "gpu_busy": 0.97,
        "gpu_watts": 70.0,
    }
    columns |= {name: pa.repeat(pa.scalar(value, IMAGES.field(name).type), count) for name, value in same.items()}
    return pa.table([columns[name] for name in IMAGES.names], schema=IMAGES)


def _hex(count: int, width: int) -> pa.Array:
    """Random hexadecimal texts of one width."""
    letters = pa.py_buffer(secrets.token_hex(count * width // 2 + 1).encode()[: count * width])
    offsets = pa.py_buffer(np.arange(0, count * width + 1, width, dtype=np.int32).tobytes())
    return pa.StringArray.from_buffers(count, offsets, letters)


def _money(count: int, nano: int) -> pa.Array:
    return pa.repeat(pa.scalar(Decimal(nano).scaleb(-9), pa.decimal128(18, 9)), count)


def _nodes(names: list[str], images: int, day: date) -> pa.Table:
    """Node sessions that did nothing but render."""
    started = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    shares = [images * (place + 1) // len(names) - images * place // len(names) for place in range(len(names))]
    rows = []
    for name, share in zip(names, shares, strict=True):
        usd = Decimal(share * _NANO_USD).scaleb(-9)
        row = dict.fromkeys(NODES.names) | {f"{category}_usd": Decimal(0) for category in CATEGORIES}
        row |= {f"{category}_nanoseconds": 0 for category in CATEGORIES}
        row |= {"node_session": name, "node_id": name, "provider": "aws", "node_type": "g6.xlarge", "market": "spot"}
        row |= {"gpu": "L4", "gpu_count": 1, "region": "us-east-1", "zone": "us-east-1a", "terminated_by": "released"}
        row |= {"started_at": started, "ended_at": started + timedelta(seconds=share * 0.4), "accrued_usd": usd}
        row |= {"usd_per_hour": Decimal("0.36"), "price_source": "made", "billable_usd": usd, "rendering_usd": usd}
        rows.append(
            row | {"rendering_nanoseconds": share * 400_000_000, "lifetime_gpu_nanoseconds": share * 400_000_000}
        )
    return pa.Table.from_pylist(rows, schema=NODES)
