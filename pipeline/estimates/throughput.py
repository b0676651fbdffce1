"""How fast a GPU renders, from what is trusted most: measured here, a pilot, others' claims, the peak of the card.

Everything but a measurement of the same shape is scaled by counted arithmetic. Each figure carries where it comes from
and an interval that should hold the truth nine times in ten; tests leave claims out and look whether it does.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.claims import Claim
from pipeline.catalogue.gpus import Gpu
from pipeline.estimates.work import Work, work_of

REACHED: Final[Mapping[str, float]] = MappingProxyType(
    {"eager": 0.31, "compiled": 0.40, "tensorrt": 0.48, "tensorrt fp8": 0.59}
)
"""Stated utilisation: the share of the dense half-precision peak that a large model reaches, by engine."""

QUANTIZED: Final[Mapping[str, float]] = MappingProxyType({"none": 1.0, "fp8": 1.2, "int8": 1.1, "int4": 0.8})
"""Stated gain of quantized layers under PyTorch; int4 is unpacked before it is computed with."""

STEPS_PER_SECOND: Final = 1600.0
"""Stated limit of small models: steps of images that PyTorch begins, a hundred forwards of 16 images."""

SAME_CARD_AND_MODEL: Final = 1.4
SAME_MODEL: Final = 2.2
SAME_CARD: Final = 2.6
PEAK_ALONE: Final = 3.0
OTHER_SHAPE: Final = 1.3
CLOSEST: Final = 1.03
"""Factors by which the truth may be higher or lower."""

JOBS_DIFFER: Final = 0.06
AS_IF_JOBS: Final = 2
"""Stated: before any two jobs were measured, they are taken to differ in speed by so much (standard deviation of the
logarithm), as sure as if so many differences had been seen. Nodes of one job are no second job: they had the same
prompts, software and day."""

_T_90: Final = ((1, 6.31), (2, 2.92), (3, 2.35), (4, 2.13), (5, 2.02), (7, 1.89), (10, 1.81), (20, 1.72), (60, 1.67))
"""Student's t for nine in ten, by degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one type of card was seen to do with one model and shape."""

    origin: str
    """`measured`: this store's own ledger; `pilot`: a few images of this job."""
    work: Work
    card: str
    """Name in the catalogue."""
    rates: tuple[float, ...]
    """Images per second of one GPU, one for each job; not empty."""
    images: int
    """On which they rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """Images per second of one GPU."""

    images_per_second: float
    low: float
    high: float
    origin: str
    """`measured`, `pilot`, `published` or `estimated`."""
    basis: str
    """On what it rests, for a person."""

    @property
    def images_per_hour(self) -> float:
        """The same, by the hour."""
        return self.images_per_second * 3600


def estimate(catalogue: Catalogue, work: Work, gpu: Gpu, measurements: Iterable[Measurement] = ()) -> Throughput | None:
    """How fast this card renders this work; None where it has no such arithmetic.

    Args:
        catalogue: with the claims.
        work: one image.
        gpu: the card.
        measurements: of this store, of any model and card; what does not apply is passed over.
    """
    if gpu.peak_tflops(work.precision) is None or (work.quantization == "fp8" and gpu.fp8_tflops is None):
        return None
    same_model = [one for one in measurements if one.work.model == work.model]
    here = [one for one in same_model if one.card == gpu.name]
    return (
        measured(work, [one for one in here if one.origin == "measured"])
        or measured(work, [one for one in here if one.origin == "pilot"])
        or _measured_elsewhere(catalogue, work, gpu, same_model)
        or _published(catalogue, work, gpu)
    )


def measured(work: Work, measurements: Sequence[Measurement]) -> Throughput | None:
    """From measurements of the same card and model: of the same shape where there are any, else scaled to it."""
    exact = [one for one in measurements if _same_shape(one.work, work)]
    chosen = exact or measurements
    if not chosen:
        return None
    rates = [rate * one.work.teraflops / work.teraflops for one in chosen for rate in one.rates]
    spread = _spread_of(rates) * (1.0 if exact else OTHER_SHAPE)
    images = sum(one.images for one in chosen)
    shape = (
        "" if exact else f", scaled from {chosen[0].work.width}x{chosen[0].work.height}, {chosen[0].work.steps} steps"
    )
    return _around(_mean(rates), spread, chosen[0].origin, f"{images:,} images on {chosen[0].card}{shape}")


def _same_shape(one: Work, other: Work) -> bool:
    """Whether two works are rendered alike."""
    return (one.width, one.height, one.steps, one.precision, one.quantization, one.compiled) == (
        other.width,
        other.height,
        other.steps,
        other.precision,
        other.quantization,
        other.compiled,
    )


def _measured_elsewhere(
    catalogue: Catalogue, work: Work, gpu: Gpu, measurements: Sequence[Measurement]
) -> Throughput | None:
    """From measurements of the same model on other cards, scaled by the cards' peaks."""
    shares = []
    for one in measurements:
        card = catalogue.gpu(one.card)
        if card is not None:
            rate = _mean(one.rates) / QUANTIZED[one.work.quantization]
            shares.append(rate * one.work.teraflops / _peak(card, one.work.precision))
    if not shares:
        return None
    rate = _mean(shares) * _peak(gpu, work.precision) * QUANTIZED[work.quantization] / work.teraflops
    cards = ", ".join(sorted({one.card for one in measurements}))
    return _around(rate, SAME_MODEL, "estimated", f"measured on {cards}, scaled by the cards' peaks")


def _published(catalogue: Catalogue, work: Work, gpu: Gpu) -> Throughput:
    """From others' claims, the nearest kind of them that there is; from the peak alone where there is none."""
    used = [claim for claim in catalogue.claims if claim.used]
    kinds: tuple[tuple[list[Claim], float], ...] = (
        ([one for one in used if (one.gpu, one.model) == (gpu.name, work.model)], SAME_CARD_AND_MODEL),
        ([one for one in used if one.model == work.model], SAME_MODEL),
        ([one for one in used if one.gpu == gpu.name], SAME_CARD),
        ([], PEAK_ALONE),
    )
    claims, spread = next((claims, spread) for claims, spread in kinds if claims or spread == PEAK_ALONE)
    share = _mean([reached(catalogue, claim) for claim in claims]) if claims else 1.0
    engine = "compiled" if work.compiled else "eager"
    stated = REACHED[engine] * QUANTIZED[work.quantization]
    rate = _peak(gpu, work.precision) * stated * share / work.teraflops
    if rate * work.steps > STEPS_PER_SECOND:
        told = f"too small to fill the card: {STEPS_PER_SECOND:,.0f} steps a second, as is stated"
        return _around(STEPS_PER_SECOND / work.steps, PEAK_ALONE, "estimated", told)
    if not claims:
        return _around(rate, spread, "estimated", f"{stated:.0%} of the card's peak, as is stated for {engine} PyTorch")
    return _around(rate, spread, "published", _told(claims, gpu))


def reached(catalogue: Catalogue, claim: Claim) -> float:
    """What a claim reached of what is stated for its engine: 1 is as stated."""
    model, gpu = catalogue.models[claim.model], catalogue.gpus[claim.gpu]
    work = work_of(catalogue, model, width=claim.width, height=claim.height, steps=claim.steps)
    engine = f"{claim.engine} fp8" if claim.engine == "tensorrt" and claim.precision == "fp8" else claim.engine
    return claim.images_per_second * work.teraflops / _peak(gpu, "fp16") / REACHED[engine]


def _told(claims: Sequence[Claim], gpu: Gpu) -> str:
    """Which claims a figure rests on."""
    cards, models = sorted({one.gpu for one in claims}), sorted({one.model for one in claims})
    scaled = "scaled by arithmetic" if cards == [gpu.name] else "scaled by arithmetic and the cards' peaks"
    some = ", ".join(cards[:3]) + (f" and {len(cards) - 3} more" if len(cards) > 3 else "")
    return f"{len(claims)} {'claim' if len(claims) == 1 else 'claims'} of {', '.join(models)} on {some}, {scaled}"


def _peak(gpu: Gpu, precision: str) -> float:
    """Dense peak in teraFLOPS of arithmetic that the card is known to have."""
    peak = gpu.peak_tflops(precision)
    return gpu.fp16_tflops if peak is None else peak


def _mean(values: Sequence[float]) -> float:
    """Geometric mean: twice as fast and half as fast are equally far."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def _spread_of(rates: Sequence[float]) -> float:
    """The factor within which the next job's rate lies nine times in ten."""
    count = len(rates)
    logs = [math.log(rate) for rate in rates]
    middle = sum(logs) / count
    freedom = AS_IF_JOBS + count - 1
    seen = sum((one - middle) ** 2 for one in logs)
    stated = AS_IF_JOBS * JOBS_DIFFER**2
    deviation = math.sqrt(max((stated + seen) / freedom, seen / max(1, count - 1)))
    return max(CLOSEST, math.exp(min(student_90(freedom) * deviation * math.sqrt(1 + 1 / count), 2.0)))


def student_90(freedom: int) -> float:
    """Student's t within which nine in ten lie, for these degrees of freedom (1 or more)."""
    return next(t for least, t in reversed(_T_90) if least <= freedom)


def _around(rate: float, spread: float, origin: str, basis: str) -> Throughput:
    return Throughput(images_per_second=rate, low=rate / spread, high=rate * spread, origin=origin, basis=basis)
