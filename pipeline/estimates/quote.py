"""What a job would cost on one type of node, and how long it would take: rendering, starting, reclaims, the tail.

Pure arithmetic over rates and stated assumptions. Time is of whole nodes, as it is paid for: a node is held from its
launch until the last image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipeline.estimates.interruptions import ReclaimRate
from pipeline.estimates.throughput import Throughput

BOOT_SECONDS: Final = 180.0
"""Stated: from the launch of a node to a worker that can load a model, where no node of the type was measured."""

LOAD_BYTES_PER_SECOND: Final = 400e6
"""Stated: weights from the store or the disk to the device."""

_MOST_LOST: Final = 0.95
"""Of a node's time to reclaims; where it would be more, nothing would ever be done."""

_NANO: Final = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Images of one model and shape, and how fast a GPU of the type renders them."""

    images: int
    throughput: Throughput
    batch: int
    """Images of one batch: what a reclaim loses at most, and what the last worker is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Nodes of one type and market that a job would hold."""

    count: int
    gpus: int
    """Of each."""
    usd_per_hour: Decimal
    """Of a node."""
    startup_seconds: float
    """From the launch to the first batch."""
    reclaims: ReclaimRate
    """Of one node; `NEVER` where nobody takes it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A middle, and the interval that should hold the truth nine times in ten."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dollars:
    """The same in US dollars."""

    middle: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What the nodes make of a job."""

    images: int
    images_per_hour: Figure
    """Of all nodes together, while they render."""
    hours: Figure
    """From the launch to the last image."""
    usd: Dollars
    """Of the nodes; the store's own costs are not in it."""
    usd_per_image: Dollars
    startup_usd: Decimal
    """The middle's share that starting takes, replacements of reclaimed nodes included."""
    lost_usd: Decimal
    """The middle's share for batches that reclaims cut short."""
    idle_usd: Decimal
    """The middle's share for workers that wait for the last one."""
    fixed_usd: Decimal
    """The middle's share that more images would not raise: the first starts, and the wait at the end."""
    reclaims: float
    """Expected."""
    origin: str
    """Of the least trusted of its rates."""


_TRUST: Final = ("measured", "pilot", "published", "estimated")


def startup_seconds(weight_bytes: float, *, boot_seconds: float = BOOT_SECONDS) -> float:
    """From the launch of a node until its first batch."""
    return boot_seconds + weight_bytes / LOAD_BYTES_PER_SECOND


def quote(loads: Sequence[Load], nodes: Nodes) -> Quote:
    """What these nodes take for these images.

    The low end is fast and seldom reclaimed, the high end slow and often.

    Args:
        loads: at least one, each of at least one image.
        nodes: at least one, all of one type.
    """
    images = sum(load.images for load in loads)
    reclaims = nodes.reclaims
    middle = _run(loads, nodes, [load.throughput.images_per_second for load in loads], reclaims.per_hour)
    slow = _run(loads, nodes, [load.throughput.low for load in loads], reclaims.high)
    fast = _run(loads, nodes, [load.throughput.high for load in loads], reclaims.low)
    usd = Dollars(middle=middle.usd, low=fast.usd, high=slow.usd)
    return Quote(
        images=images,
        images_per_hour=Figure(
            middle=images / middle.rendering * 3600,
            low=images / slow.rendering * 3600,
            high=images / fast.rendering * 3600,
        ),
        hours=Figure(middle=middle.seconds / 3600, low=fast.seconds / 3600, high=slow.seconds / 3600),
        usd=usd,
        usd_per_image=Dollars(
            middle=(usd.middle / images).quantize(_NANO),
            low=(usd.low / images).quantize(_NANO),
            high=(usd.high / images).quantize(_NANO),
        ),
        startup_usd=middle.startup_usd,
        lost_usd=middle.lost_usd,
        idle_usd=middle.idle_usd,
        fixed_usd=middle.fixed_usd,
        reclaims=middle.reclaims,
        origin=max((load.throughput.origin for load in loads), key=_TRUST.index),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One course of things."""

    rendering: float
    """Seconds of wall clock in which all workers render."""
    seconds: float
    usd: Decimal
    startup_usd: Decimal
    lost_usd: Decimal
    idle_usd: Decimal
    fixed_usd: Decimal
    reclaims: float


def _run(loads: Sequence[Load], nodes: Nodes, rates: Sequence[float], reclaims_per_hour: float) -> _Run:
    """The course at these rates of images and of reclaims.

    A reclaim costs its node's next start and, on each of its GPUs, half a batch; nobody else waits for a node that is
    replaced, so that is spread over all workers. At the end each worker waits half a batch on average.
    """
    workers = nodes.count * nodes.gpus
    rendering = sum(load.images / rate for load, rate in zip(loads, rates, strict=True)) / workers
    batch = max(load.batch / rate for load, rate in zip(loads, rates, strict=True))
    tail = min(batch, rendering) / 2
    each = nodes.startup_seconds + batch / 2
    # Reclaimed time is rendered again, in which nodes are reclaimed too: a geometric series.
    rate = min(reclaims_per_hour / 3600, _MOST_LOST / each)
    lost = rate * each
    busy = (nodes.startup_seconds + rendering + tail) / (1 - lost)
    reclaims = rate * busy * nodes.count
    per_second = nodes.usd_per_hour / 3600

    def money(node_seconds: float) -> Decimal:
        return (per_second * Decimal(repr(node_seconds))).quantize(_NANO)

    return _Run(
        rendering=rendering,
        seconds=busy,
        usd=money(busy * nodes.count),
        startup_usd=money(nodes.startup_seconds * (nodes.count + reclaims)),
        lost_usd=money(reclaims * batch / 2),
        idle_usd=money(tail * nodes.count),
        fixed_usd=money((nodes.startup_seconds + tail) / (1 - lost) * nodes.count),
        reclaims=reclaims,
    )
