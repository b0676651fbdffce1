"""The rows of one ledger bucket as an Arrow table, column by column: a driver makes one for thousands of images."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.ledger.repricing import SessionPrices, image_costs
from pipeline.ledger.schema import IMAGES
from pipeline.ledger.tally import Tallied
from pipeline.record import COLLECTED, Record

_MONEY = IMAGES.field("usd").type


def bucket_table(rows: Iterable[Tallied], prices: SessionPrices = MappingProxyType({})) -> pa.Table:
    """Ledger rows at these prices, sorted by task and image id."""
    rows = list(rows)
    called = {id(record): record.name for record in {id(row.record): row.record for row in rows}.values()}
    keyed = sorted(
        ((row.record.task, row.image.image_id, called[id(row.record)], row) for row in rows), key=lambda one: one[:3]
    )
    in_order, names = [one[3] for one in keyed], [one[2] for one in keyed]
    records = {name: row.record for name, row in zip(names, in_order, strict=True)}
    numbers = {name: number for number, name in enumerate(records)}
    place = pa.array([numbers[name] for name in names], pa.int32())
    columns = {name: column.take(place) for name, column in _record_columns(records).items()}
    columns |= _image_columns(in_order, _costs(names, in_order, records, prices))
    return pa.table([columns[name] for name in IMAGES.names], schema=IMAGES)


def _record_columns(named: dict[str, Record]) -> dict[str, pa.Array]:
    """What all images of a record share, a value for each record."""
    records = list(named.values())

    def column(name: str, values: list[Any]) -> pa.Array:
        return pa.array(values, IMAGES.field(name).type)

    def of_node(name: str) -> pa.Array:
        return column(name, [getattr(record.node, name) if record.node else "" for record in records])

    def instants(name: str, at_ns: list[int]) -> pa.Array:
        known = [at // 1000 if record.node else None for record, at in zip(records, at_ns, strict=True)]
        return pa.array(known, pa.int64()).cast(IMAGES.field(name).type)

    names = ("node_session", "provider", "node_type", "market", "gpu", "region", "zone")
    sizes = [record.profile.batch_size if record.profile else 0 for record in records]
    return (
        {name: of_node(name) for name in names}
        | {
            "task_id": column("task_id", [record.task for record in records]),
            "attempt_id": column("attempt_id", [record.attempt for record in records]),
            "model": column("model", [record.model for record in records]),
            "width": column("width", [record.width for record in records]),
            "height": column("height", [record.height for record in records]),
            "steps": column("steps", [record.steps for record in records]),
            "batch_size": column("batch_size", sizes),
            "started_at": instants("started_at", [record.started_ns for record in records]),
            "ended_at": instants("ended_at", [record.ended_ns for record in records]),
            "record": column("record", list(named)),
        }
        | {name: column(name, [_told(name, record) for record in records]) for name in _TOLD}
    )


_TOLD = ("precision", "memory_bytes", "gpu_busy", "gpu_watts")


def _told(name: str, record: Record) -> Any:
    """What only a batch has that was rendered, and the last two only where the GPU's driver tells."""
    use = record.gpu_use
    match name:
        case "precision":
            return record.profile.precision if record.profile else None
        case "memory_bytes":
            return record.memory_bytes or None
        case "gpu_busy":
            return use.busy if use else None
    return use.watts if use else None


def _costs(
    names: Sequence[str], rows: Sequence[Tallied], records: dict[str, Record], prices: SessionPrices
) -> NDArray[np.int64]:
    """Nano-dollars of each image."""
    costs = {
        name: {image.image_id: cost for image, cost in zip(record.images, image_costs(record, prices), strict=True)}
        for name, record in records.items()
    }
    return np.array([costs[name][row.image.image_id] for name, row in zip(names, rows, strict=True)], dtype=np.int64)


def _image_columns(rows: Sequence[Tallied], nano: NDArray[np.int64]) -> dict[str, pa.Array]:
    """What each image has of its own."""
    images = [row.image for row in rows]
    time = np.array([image.gpu_nanoseconds for image in images], dtype=np.int64)
    rendered = np.array([row.outcome == "rendered" for row in rows], dtype=bool)
    tags = [list(image.tags.items()) for image in images]
    return {
        "image_id": pa.array([image.image_id for image in images], pa.string()),
        "key": pa.array([image.key for image in images], pa.string()),
        "outcome": pa.array([row.outcome for row in rows], pa.string()),
        "cause": pa.array([COLLECTED if row.collected else row.image.cause for row in rows], pa.string()),
        "gpu_seconds": pa.array(np.where(rendered, time, 0) / 1e9),
        "usd": _money(np.where(rendered, nano, 0)),
        "bytes": pa.array([image.bytes for image in images], pa.int64()),
        "sha256": pa.array([image.sha256 for image in images], pa.string()),
        "tags": pa.array(tags, IMAGES.field("tags").type),
        "spent_gpu_nanoseconds": pa.array(time),
        "spent_usd": _money(nano),
        "message": pa.array([image.message for image in images], pa.string()),
    }


def _money(nano: NDArray[np.int64]) -> pa.Array:
    """Whole nano-dollars as the ledger's decimals: 128-bit integers of them, the lower half first."""
    halves = np.empty((len(nano), 2), dtype="<i8")
    halves[:, 0], halves[:, 1] = nano, nano >> 63
    return pa.Array.from_buffers(_MONEY, len(nano), [None, pa.py_buffer(halves)])
