"""The catalogue of GPUs as rows: what each can do, where it is cheapest, and what an image of a model costs on it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from jobs.nearest import did_you_mean
from jobs.planning.card_choice import chosen_cards
from jobs.planning.catalogue import known_model, read_catalogue, read_offers
from jobs.planning.model_parts import catalogue_parts
from jobs.profiles import NodeType, node_types
from pipeline.catalogue.catalogue import Catalogue, Offer
from pipeline.catalogue.gpus import Gpu
from pipeline.errors import JobFileError
from pipeline.estimates.memory import Shape, need, usable
from pipeline.estimates.throughput import Throughput, estimate
from pipeline.estimates.work import Work, work_of

_NANO = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOffer:
    """Where a card is cheapest in one market; the price of one GPU, not of its node."""

    node_type: str
    provider: str
    market: str
    usd_per_gpu_hour: Decimal
    source: str
    as_of: str
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """One card."""

    gpu: Gpu
    on_demand: CardOffer | None
    """None: no price is known."""
    spot: CardOffer | None
    fits: bool | None = None
    """Whether one image of the chosen model fits as it is; None without a model."""
    throughput: Throughput | None = None
    """Of the chosen model; None without one, and where the card lacks its arithmetic."""
    usd_per_image: Decimal | None = None
    """On the cheaper of both markets, of GPU time alone; None without a price or a model, and where it does not fit."""
    usd_per_image_low: Decimal | None = None
    usd_per_image_high: Decimal | None = None

    @property
    def cheapest(self) -> CardOffer | None:
        """The cheaper of both markets."""
        known = [one for one in (self.spot, self.on_demand) if one is not None]
        return min(known, key=lambda one: one.usd_per_gpu_hour, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """The table."""

    work: Work | None
    """One image of the chosen model; None without one."""
    sorted_by: str
    rows: tuple[CardRow, ...]


def _money(amount: Decimal | None) -> Decimal:
    """What is not known comes last."""
    return Decimal("Infinity") if amount is None else amount


def _rate(row: CardRow) -> float:
    """Images per second, to sort by."""
    return row.throughput.images_per_second if row.throughput else 0.0


SORTS: Final[Mapping[str, Callable[[CardRow], object]]] = MappingProxyType(
    {
        "name": lambda row: row.gpu.name,
        "vram": lambda row: (-row.gpu.vram_gb, row.gpu.name),
        "bandwidth": lambda row: -row.gpu.bandwidth_gb_s,
        "fp16": lambda row: -row.gpu.fp16_tflops,
        "fp8": lambda row: -(row.gpu.fp8_tflops or 0),
        "watts": lambda row: row.gpu.tdp_watts,
        "year": lambda row: (-row.gpu.year, row.gpu.name),
        "price": lambda row: _money(row.cheapest.usd_per_gpu_hour if row.cheapest else None),
        "images-per-hour": lambda row: -_rate(row),
        "usd-per-image": lambda row: _money(row.usd_per_image),
    }
)
"""Column -> what it is sorted by: the best first."""

_OF_A_MODEL: Final = ("images-per-hour", "usd-per-image")


def list_cards(
    model: str | None = None, *, sort: str | None = None, gpu: str | None = None, catalogue: Catalogue | None = None
) -> Cards:
    """The catalogue's cards.

    Args:
        model: name of a model of the catalogue, for throughput and dollars per image at its default size and steps.
        sort: one of `SORTS`; by what an image costs where there is a model, else by price.
        gpu: which cards, see `chosen_cards`; all where not given.
        catalogue: that of `read_catalogue` where it was read already.

    Raises:
        JobFileError: an unknown model, card or column, with the nearest.
    """
    by = sort or ("usd-per-image" if model else "price")
    if by not in SORTS:
        raise JobFileError(f'sort: there is no column "{by}"{did_you_mean(by, SORTS)}; known are {", ".join(SORTS)}')
    if model is None and by in _OF_A_MODEL:
        raise JobFileError(f"sort: {by} needs a model; say --model NAME too")
    catalogue = catalogue or read_catalogue()
    work = None if model is None else work_of(catalogue, known_model(catalogue, model))
    needed = None if work is None else _needed(catalogue, work)
    offers, types = read_offers(catalogue), node_types()
    rows = []
    for card in chosen_cards(catalogue, gpu):
        on_demand, spot = (_cheapest(card, offers, types, market) for market in ("on_demand", "spot"))
        fits = None if needed is None else needed <= usable(card)
        row = CardRow(gpu=card, on_demand=on_demand, spot=spot, fits=fits)
        rows.append(row if work is None else _priced(row, estimate(catalogue, work, card)))
    return Cards(work=work, sorted_by=by, rows=tuple(sorted(rows, key=SORTS[by])))  # type: ignore[arg-type]


def _needed(catalogue: Catalogue, work: Work) -> int:
    """Bytes that one image of this work needs."""
    shape = Shape(width=work.width, height=work.height, precision=work.precision)
    return need(catalogue_parts(catalogue, work.model), shape).total


def _cheapest(card: Gpu, offers: Mapping[str, Offer], types: Mapping[str, NodeType], market: str) -> CardOffer | None:
    """Where the card is cheapest in this market."""
    found = []
    for offer in offers.values():
        row = types[offer.type]
        price = row.spot_usd_per_hour if market == "spot" else row.on_demand_usd_per_hour
        if offer.card == card.name and price is not None:
            found.append(
                CardOffer(
                    node_type=offer.type,
                    provider=offer.provider,
                    market=market,
                    usd_per_gpu_hour=(price / offer.gpus).quantize(_NANO),
                    source=row.source,
                    as_of=row.as_of,
                    certain=row.certain,
                )
            )
    return min(found, key=lambda one: one.usd_per_gpu_hour, default=None)


def _priced(row: CardRow, throughput: Throughput | None) -> CardRow:
    """The row with what an image takes and costs."""
    if throughput is None or row.cheapest is None or not row.fits:
        return replace(row, throughput=throughput)
    price = row.cheapest.usd_per_gpu_hour
    rates: Sequence[float] = (throughput.images_per_second, throughput.high, throughput.low)
    middle, low, high = (usd_per_image(price, rate) for rate in rates)
    return replace(row, throughput=throughput, usd_per_image=middle, usd_per_image_low=low, usd_per_image_high=high)


def usd_per_image(usd_per_hour: Decimal, images_per_second: float) -> Decimal:
    """Price of the time that one image takes, to the nano-dollar."""
    return (usd_per_hour / (Decimal(repr(images_per_second)) * 3600)).quantize(_NANO)
