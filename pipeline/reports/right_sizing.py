"""Whether a cheaper card would have done, from what the batches really took of the one that was rented.

The memory is measured. How fast the other card is comes from the ledger where it was used too, else from the cards'
peaks; either is said with the advice, and so is the interval.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.gpus import Gpu
from pipeline.estimates.memory import usable
from pipeline.estimates.throughput import Measurement, Throughput, estimate
from pipeline.estimates.work import Work, work_of
from pipeline.reports.figures import Advice, Group
from pipeline.reports.gpu_usage import GpuUsage

_LEAST_IMAGES: Final = 20
_LEAST_SAVED: Final = Decimal("0.1")
"""Below a tenth nothing is advised: estimates are no better than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPrice:
    """Where a card can be had."""

    card: str
    """Name in the catalogue."""
    node_type: str
    provider: str
    market: str
    usd_per_gpu_hour: Decimal
    source: str
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardMarket:
    """All cards, and what they cost."""

    catalogue: Catalogue
    prices: Sequence[CardPrice]


Market = Callable[[], CardMarket]
"""Asked only where there is anything to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    """Another card for some images."""

    usage: GpuUsage
    card: Gpu
    price: CardPrice
    rate: Throughput
    saved_usd: Decimal

    def share(self, images_per_second: float) -> float:
        """What is saved of what was paid at this rate, 0 to 1; below zero where it would cost more."""
        return 1 - float(self._usd(images_per_second) / self.usage.usd)

    def _usd(self, images_per_second: float) -> Decimal:
        return _cost(self.usage, self.price, images_per_second)


def cheaper_card(usages: Sequence[GpuUsage], everything: Group, market: Market | None) -> Advice | None:
    """The card that would have saved most; None where none fits, or none is known to be cheaper."""
    worth = [one for one in usages if one.memory_bytes and one.usd > 0 and one.images >= _LEAST_IMAGES]
    worth = [one for one in worth if one.gpu not in {"", "cpu"}]
    if market is None or not worth:
        return None
    cards = market()
    best = max(
        (choice for one in worth for choice in _choices(one, usages, cards)),
        key=lambda choice: (choice.saved_usd, choice.price.node_type),
        default=None,
    )
    if best is None:
        return None
    rendering = everything.categories["rendering"]
    return Advice(line="rendering", usd=rendering, saved_usd=best.saved_usd, text=_told(best, cards.catalogue))


def _choices(usage: GpuUsage, usages: Sequence[GpuUsage], cards: CardMarket) -> Iterator[_Choice]:
    """Cards of the same provider and market, or of any provider where nobody lists that one, that would cost less."""
    here = cards.catalogue.gpu(usage.gpu)
    if here is None:
        return
    own = [one for one in cards.prices if one.market == usage.market and one.provider == usage.provider]
    offered = own or [one for one in cards.prices if one.market == usage.market]
    work = _work(usage, cards.catalogue)
    seen = [found for one in usages if (found := _seen(one, usage, work, cards.catalogue)) is not None]
    for price in offered:
        card = cards.catalogue.gpus[price.card]
        if card.name == here.name or (usage.memory_bytes or 0) > usable(card):
            continue
        rate = estimate(cards.catalogue, work, card, seen)
        if rate is None:
            continue
        saved = usage.usd - _cost(usage, price, rate.images_per_second)
        if saved >= usage.usd * _LEAST_SAVED:
            yield _Choice(usage=usage, card=card, price=price, rate=rate, saved_usd=saved)


def _cost(usage: GpuUsage, price: CardPrice, images_per_second: float) -> Decimal:
    """What the rendering of these images would have cost."""
    hours = usage.images / Decimal(repr(images_per_second)) / 3600
    return (hours * price.usd_per_gpu_hour).quantize(Decimal("1e-9"))


def _work(usage: GpuUsage, catalogue: Catalogue) -> Work:
    """One of these images; of a model that nobody counted in units that cancel out between cards."""
    model = catalogue.model(usage.model)
    precision = usage.precision or (model.precision if model else "fp16")
    if model is not None and min(usage.width, usage.height, usage.steps) > 0:
        return work_of(catalogue, model, width=usage.width, height=usage.height, steps=usage.steps, precision=precision)
    return Work(
        model=usage.model,
        width=usage.width,
        height=usage.height,
        steps=usage.steps,
        precision=precision,
        teraflops=1.0,
    )


def _seen(one: GpuUsage, usage: GpuUsage, work: Work, catalogue: Catalogue) -> Measurement | None:
    """How fast such images were rendered on a type of card, where they were."""
    card = catalogue.gpu(one.gpu)
    alike = (one.model, one.width, one.height, one.steps) == (usage.model, usage.width, usage.height, usage.steps)
    if card is None or not alike or not one.images:
        return None
    return Measurement(
        origin="measured",
        work=work,
        card=card.name,
        rates=(one.images / one.gpu_nanoseconds * 1e9,),
        images=one.images,
    )


def _told(choice: _Choice, catalogue: Catalogue) -> str:
    """`batch 8 used 31 % of the 48 GB of L40S: L4 would cost about 40 % less ...`."""
    usage, rate = choice.usage, choice.rate
    here = catalogue.gpu(usage.gpu)
    assert here is not None  # noqa: S101 - else there would be no choice
    part = (usage.memory_bytes or 0) / here.visible_bytes
    middle, least, most = (choice.share(one) for one in (rate.images_per_second, rate.low, rate.high))
    busy = "" if usage.busy is None else f" and kept it busy for {usage.busy * 100:.0f} % of its time"
    return (
        f"batch {usage.batch_size} used {part * 100:.0f} % of the {here.vram_gb} GB of {usage.node_type}'s {here.name}"
        f"{busy}: {choice.card.name} ({choice.price.node_type} {usage.market.replace('_', ' ')})"
        f" would cost about {middle * 100:.0f} % less an image ({_between(least, most)};"
        f" {rate.origin}: {rate.basis}; price: {choice.price.source})"
    )


def _between(least: float, most: float) -> str:
    """`10 to 60 % less`, or `28 % more to 74 % less`."""
    low = f"{least * 100:.0f}" if least >= 0 else f"{-least * 100:.0f} % more"
    return f"{low} to {most * 100:.0f} % less"
