"""What a job would cost on one type of node, and how long it would take: rendering, starting, reclaims, the tail.

Pure arithmetic over rates and stated assumptions. Time is of whole nodes, as it is paid for: a node is held from its
launch until the last image.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from pipeline.estimates.interruptions import ReclaimRate
from pipeline.estimates.throughput import Throughput, student_90

BOOT_SECONDS: Final = 180.0
"""Stated: from the launch of a node to a worker that can load a model, where no node of the type was measured."""

LOAD_BYTES_PER_SECOND: Final = 400e6
"""Stated: weights from the store or the disk to the device."""

STATED_STARTUP_SPREAD: Final = 2.0
"""Stated: the factor by which a start may take longer or shorter than is stated."""

STARTS_DIFFER: Final = 0.3
AS_IF_STARTS: Final = 2
"""Stated: before two nodes of a type were seen to start, they are taken to differ by so much (share of their mean), as
sure as if so many differences had been seen."""

_MOST_LOST: Final = 0.95
"""Of a node's time to reclaims; where it would be more, nothing would ever be done."""

_NINE_IN_TEN: Final = 1.645
"""Standard deviations of a normal distribution."""

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
    """From the launch to the first batch, the mean."""
    startup_spread: float = 1.0
    """The factor by which that mean, over nodes of the job, may be higher or lower."""
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


def startup_spread(mean_seconds: float, deviation_seconds: float, *, seen: int, nodes: int) -> float:
    """The factor within which the mean start of a job's nodes lies nine times in ten.

    Args:
        mean_seconds: of the nodes that were seen to start.
        deviation_seconds: of them.
        seen: so many, at least one.
        nodes: of the job.
    """
    freedom = AS_IF_STARTS + seen - 1
    stated = AS_IF_STARTS * (STARTS_DIFFER * mean_seconds) ** 2
    deviation = math.sqrt((stated + (seen - 1) * deviation_seconds**2) / freedom)
    share = deviation / mean_seconds if mean_seconds > 0 else 0.0
    return math.exp(min(1.0, student_90(freedom) * share * math.sqrt(1 / nodes + 1 / seen)))


def quote(loads: Sequence[Load], nodes: Nodes) -> Quote:
    """What these nodes take for these images.

    What is uncertain does not all go wrong at once: how fast images are rendered, how long starts take, how often nodes
    are reclaimed in the long run and how often by chance in this job, and the wait at the end, are each taken to their
    ends alone, and the distances from the middle added as independent ones are.

    Args:
        loads: at least one, each of at least one image.
        nodes: at least one, all of one type.
    """
    images = sum(load.images for load in loads)
    reclaims, spread = nodes.reclaims, nodes.startup_spread
    usual = _Course(
        rates=tuple(load.throughput.images_per_second for load in loads),
        reclaims_per_hour=reclaims.per_hour,
        startup_seconds=nodes.startup_seconds,
    )
    low, high = (tuple(getattr(load.throughput, end) for load in loads) for end in ("low", "high"))
    middle = _run(loads, nodes, usual)
    slow, fast = _run(loads, nodes, replace(usual, rates=low)), _run(loads, nodes, replace(usual, rates=high))
    luck = _NINE_IN_TEN * math.sqrt(middle.reclaims) * middle.each / nodes.count
    longer = _together(
        middle.seconds,
        [
            slow.seconds,
            _run(loads, nodes, replace(usual, reclaims_per_hour=reclaims.high)).seconds,
            _run(loads, nodes, replace(usual, startup_seconds=usual.startup_seconds * spread)).seconds,
            _run(loads, nodes, replace(usual, tail=1.0)).seconds,
            middle.seconds + luck,
        ],
    )
    shorter = _together(
        middle.seconds,
        [
            fast.seconds,
            _run(loads, nodes, replace(usual, reclaims_per_hour=reclaims.low)).seconds,
            _run(loads, nodes, replace(usual, startup_seconds=usual.startup_seconds / spread)).seconds,
            _run(loads, nodes, replace(usual, tail=0.0)).seconds,
            middle.seconds - min(luck, middle.reclaims * middle.each / nodes.count),
        ],
    )
    held = nodes.usd_per_hour / 3600 * nodes.count
    usd = Dollars(
        middle=middle.usd,
        low=min(middle.usd, _money(held, middle.seconds / shorter)),
        high=max(middle.usd, _money(held, middle.seconds * longer)),
    )
    return Quote(
        images=images,
        images_per_hour=Figure(
            middle=images / middle.rendering * 3600,
            low=images / slow.rendering * 3600,
            high=images / fast.rendering * 3600,
        ),
        hours=Figure(
            middle=middle.seconds / 3600,
            low=middle.seconds / shorter / 3600,
            high=middle.seconds * longer / 3600,
        ),
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
class _Course:
    """What is not certain, taken to be so."""

    rates: tuple[float, ...]
    """Images per second of one GPU, of each load."""
    reclaims_per_hour: float
    startup_seconds: float
    tail: float = 0.5
    """Share of a batch that each worker waits at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One course of things."""

    rendering: float
    """Seconds of wall clock in which all workers render."""
    seconds: float
    each: float
    """Seconds that a reclaim costs its node."""
    usd: Decimal
    startup_usd: Decimal
    lost_usd: Decimal
    idle_usd: Decimal
    fixed_usd: Decimal
    reclaims: float


def _run(loads: Sequence[Load], nodes: Nodes, course: _Course) -> _Run:
    """What comes of a course.

    A reclaim costs its node's next start and, on each of its GPUs, half a batch; nobody else waits for a node that is
    replaced, so that is spread over all workers. At the end each worker waits half a batch on average.
    """
    workers, startup = nodes.count * nodes.gpus, course.startup_seconds
    rendering = sum(load.images / rate for load, rate in zip(loads, course.rates, strict=True)) / workers
    batch = max(load.batch / rate for load, rate in zip(loads, course.rates, strict=True))
    tail = min(batch, rendering) * course.tail
    each = startup + batch / 2
    # Reclaimed time is rendered again, in which nodes are reclaimed too: a geometric series.
    rate = min(course.reclaims_per_hour / 3600, _MOST_LOST / each)
    lost = rate * each
    busy = (startup + rendering + tail) / (1 - lost)
    reclaims = rate * busy * nodes.count
    per_second = nodes.usd_per_hour / 3600
    return _Run(
        rendering=rendering,
        seconds=busy,
        each=each,
        usd=_money(per_second, busy * nodes.count),
        startup_usd=_money(per_second, startup * (nodes.count + reclaims)),
        lost_usd=_money(per_second, reclaims * batch / 2),
        idle_usd=_money(per_second, tail * nodes.count),
        fixed_usd=_money(per_second, (startup + tail) / (1 - lost) * nodes.count),
        reclaims=reclaims,
    )


def _money(usd_per_second: Decimal, seconds: float) -> Decimal:
    return (usd_per_second * Decimal(repr(seconds))).quantize(_NANO)


def _together(middle: float, ends: Iterable[float]) -> float:
    """The factor that holds all of these independent ends: their distances add up as the sides of a right angle do."""
    return math.exp(math.sqrt(sum(math.log(end / middle) ** 2 for end in ends)))
