"""How hard GPUs worked for the images of a report: what their drivers told, by type of node and kind of image."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.reports.ledger import Ledger

MOST_USAGES = 50
"""The dearest ones."""

_USAGES = """
SELECT node_type, market, provider, gpu, model, width, height, steps, coalesce(max(precision), '') AS precision,
       max(batch_size) AS batch_size, sum(images) AS images, sum(usd) AS usd, sum(nanoseconds)::HUGEINT AS nanoseconds,
       max(memory_bytes) AS memory_bytes, sum(busy) / sum(busy_told) AS busy, sum(watts) / sum(watts_told) AS watts,
       sum(watts) / 1e9 AS joules
FROM facts JOIN (SELECT job, node_session, gpu, provider FROM sessions) USING (job, node_session)
WHERE outcome = 'rendered' AND model <> '' GROUP BY ALL HAVING sum(nanoseconds) > 0
ORDER BY usd DESC, images DESC, node_type, market, model, width, height, steps LIMIT $most
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUsage:
    """Images of one model, size and number of steps, rendered on one type of node; figures of a driver are no money."""

    node_type: str
    market: str
    provider: str
    gpu: str
    """As the nodes told it; `cpu` where there is none."""
    model: str
    width: int
    height: int
    steps: int
    precision: str
    """Empty where the ledger does not tell."""
    batch_size: int
    """The largest."""
    images: int
    usd: Decimal
    """Of their rendering."""
    gpu_nanoseconds: int
    memory_bytes: int | None
    """Most that one device held at once, weights included; None: not known."""
    busy: Decimal | None
    """Share of the batches' time in which the GPU computed anything, from 0 to 1; None: its driver did not tell."""
    watts: Decimal | None
    """Power on average."""
    joules: Decimal | None
    """Energy of those batches of which the power is known."""


def gpu_usages(ledger: Ledger) -> tuple[GpuUsage, ...]:
    """Of the images rendered, the dearest kinds first; after `gather`."""
    return tuple(_usage(row) for row in ledger.rows(_USAGES, most=MOST_USAGES))


def _usage(row: dict[str, Any]) -> GpuUsage:
    texts = {name: row[name] or "" for name in ("node_type", "market", "provider", "gpu", "model", "precision")}
    counts = {name: int(row[name] or 0) for name in ("width", "height", "steps", "batch_size", "images")}
    figures: dict[str, Any] = texts | counts | {name: _decimal(row[name]) for name in ("busy", "watts", "joules")}
    return GpuUsage(
        usd=Decimal(row["usd"]), gpu_nanoseconds=int(row["nanoseconds"]), memory_bytes=row["memory_bytes"], **figures
    )


def _decimal(value: float | None) -> Decimal | None:
    """To the millionth."""
    return None if value is None else Decimal(repr(value)).quantize(Decimal("0.000001"))


def overall(usages: tuple[GpuUsage, ...]) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """Busy share, watts and joules of all of them, by their time; each None where nobody told it."""
    busy, watts = _weighed(usages, "busy"), _weighed(usages, "watts")
    joules = [one.joules for one in usages if one.joules is not None]
    return busy, watts, sum(joules, Decimal(0)) if joules else None


def _weighed(usages: tuple[GpuUsage, ...], name: str) -> Decimal | None:
    told = [(getattr(one, name), one.gpu_nanoseconds) for one in usages if getattr(one, name) is not None]
    time = sum(nanoseconds for _, nanoseconds in told)
    return sum((value * nanoseconds for value, nanoseconds in told), Decimal(0)) / time if time else None
