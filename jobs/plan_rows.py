"""One type of node, priced: how fast it renders the job's images, whether they fit, and what its nodes then cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from jobs.freezing import Frozen
from jobs.model_parts import catalogue_parts
from pipeline.catalogue.catalogue import Catalogue, Offer
from pipeline.catalogue.gpus import Gpu
from pipeline.catalogue.models import CatalogueModel
from pipeline.estimates.fitting import fit_cards
from pipeline.estimates.interruptions import NEVER, ReclaimRate, reclaim_rate, seen_rate
from pipeline.estimates.memory import Shape as MemoryShape
from pipeline.estimates.quote import BOOT_SECONDS, Load, Nodes, Quote, quote, startup_seconds
from pipeline.estimates.throughput import Measurement, Throughput, estimate, measured
from pipeline.estimates.work import Work, work_of
from pipeline.job import NodeOffer
from pipeline.model import Model
from pipeline.performance import frozen_levers
from pipeline.reports.measured import SessionRate, Shape, TypeHistory
from pipeline.request import Variant

ENOUGH_HOURS = 20.0
"""Hours of nodes of a type from which on the ledger's own rate of reclaims is believed."""

LOCAL_BOOT_SECONDS = 10.0
"""Stated: until a worker of a machine that is there already can load a model, one's own or a service's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One type of node in one market."""

    node_type: str
    market: str
    provider: str
    gpu: str
    gpus: int
    nodes: int
    """So many would be held."""
    usd_per_hour: Decimal
    """Of one node."""
    price_source: str
    interruption: str
    """Percent of spot nodes reclaimed in a month; empty: nobody told, or nobody takes it."""
    batch: int | None
    """Images of the largest batch that fits, of the job's heaviest shape; None where nobody can tell."""
    quote: Quote
    basis: str
    """On what its rates rest, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unquoted:
    """A type of node of which nothing can be said, or on which the job cannot be rendered."""

    node_type: str
    market: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How fast node sessions rendered one shape."""

    rates: tuple[float, ...]
    """Images per second of one GPU, one for each node session."""
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What estimates rest on."""

    catalogue: Catalogue
    on_types: Mapping[tuple[str, Shape], Seen]
    """By node type."""
    on_cards: Mapping[tuple[str, Shape], Seen]
    """By card of the catalogue."""
    histories: Mapping[tuple[str, str], TypeHistory]
    """By type and market."""


def known_from(
    catalogue: Catalogue, rates: Sequence[SessionRate], histories: Mapping[tuple[str, str], TypeHistory]
) -> Known:
    """What the catalogue and a ledger tell; thousands of sessions become a row for each type, card and shape."""
    types, cards = dict[tuple[str, Shape], list[SessionRate]](), dict[tuple[str, Shape], list[SessionRate]]()
    names = {gpu: card.name for gpu in {one.gpu for one in rates} if (card := catalogue.gpu(gpu)) is not None}
    for one in rates:
        types.setdefault((one.node_type, one.shape), []).append(one)
        if one.gpu in names:
            cards.setdefault((names[one.gpu], one.shape), []).append(one)
    return Known(catalogue=catalogue, on_types=_seen(types), on_cards=_seen(cards), histories=histories)


def _seen(sessions: Mapping[tuple[str, Shape], Sequence[SessionRate]]) -> dict[tuple[str, Shape], Seen]:
    return {
        key: Seen(rates=tuple(one.images_per_second for one in some), images=sum(one.images for one in some))
        for key, some in sessions.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Images of a job that are alike in all that decides their cost."""

    model: Model
    variant: Variant
    """Of one of them."""
    work: Work
    images: int


def shares_of(frozen: Frozen, images: Mapping[int, int], catalogue: Catalogue) -> list[Share]:
    """The images to render, put together where only seeds, words or schedulers differ.

    Args:
        frozen: the job.
        images: to render, by the number of their variant.
        catalogue: for their arithmetic.
    """
    models = {model.name: model for model in frozen.job.models}
    found: dict[tuple[str, Work], Share] = {}
    for number, count in images.items():
        variant, model = frozen.job.variants[number], models[frozen.job.variant_models[number]]
        work = _work(catalogue, model, variant)
        before = found.get((model.name, work))
        found[model.name, work] = Share(
            model=model, variant=variant, work=work, images=count + (before.images if before else 0)
        )
    return list(found.values())


class Unknown(Exception):  # noqa: N818 - it is an answer
    """Nothing can be said of a type; carries the reason."""


def plan_row(shares: Sequence[Share], offer: NodeOffer, kind: Offer | None, known: Known, *, batch: int) -> PlanRow:
    """The quote of one offer.

    Args:
        shares: of the job; at least one.
        offer: nodes that it may use.
        kind: their row in the catalogue; None where it has none.
        known: what estimates rest on.
        batch: images of a task.

    Raises:
        Unknown: nothing can be said, or the job cannot be rendered on it.
    """
    fits = [_largest_batch(known.catalogue, share, kind) for share in shares]
    rates = [_throughput(share, offer, kind, known) for share in shares]
    parts = [Load(images=share.images, throughput=rate, batch=batch) for share, rate in zip(shares, rates, strict=True)]
    heaviest = max(_weight_bytes(known.catalogue, share.model) for share in shares)
    history = known.histories.get((offer.type, offer.market))
    start = history.startup_seconds if history else startup_seconds(heaviest, boot_seconds=_boot(offer))
    tasks = math.ceil(sum(share.images for share in shares) / batch)
    held = max(1, min(offer.max, math.ceil(tasks / offer.gpus)))
    nodes = Nodes(
        count=held,
        gpus=offer.gpus,
        usd_per_hour=offer.usd_per_hour,
        startup_seconds=start,
        reclaims=_reclaims(offer, kind, history),
    )
    return PlanRow(
        node_type=offer.type,
        market=offer.market,
        provider=kind.provider if kind else offer.provider,
        gpu=kind.card if kind else offer.gpu,
        gpus=offer.gpus,
        nodes=held,
        usd_per_hour=offer.usd_per_hour,
        price_source=offer.price_source,
        interruption=kind.interruption if kind and offer.market == "spot" else "",
        batch=min((most for most in fits if most is not None), default=None),
        quote=quote(parts, nodes),
        basis="; ".join(dict.fromkeys(rate.basis for rate in rates)),
    )


def _largest_batch(catalogue: Catalogue, share: Share, kind: Offer | None) -> int | None:
    """Images of the largest batch that fits on the offer's card; None where it is not known.

    Raises:
        Unknown: not even one image fits, or the card lacks the arithmetic; with what would do.
    """
    model, variant = share.model, share.variant
    here, card = _here(catalogue, model), _card(catalogue, kind)
    if here is None or card is None:
        return None
    memory = frozen_levers(model.levers, model.options).memory
    shape = MemoryShape(
        width=variant.width,
        height=variant.height,
        precision=variant.precision,
        quantization=str(model.levers.get("quantization", "none")),
        memory="fit" if memory == "auto" else memory,
    )
    (found,) = fit_cards(catalogue_parts(catalogue, here.name), shape, [card], list(catalogue.gpus.values()))
    if not found.fits:
        instead = ", ".join(one.what for one in found.alternatives) or "nothing would make it fit"
        raise Unknown(f"does not fit {card.name}: {found.why_not}; what would: {instead}")
    return found.largest_batch


def _boot(offer: NodeOffer) -> float:
    """Seconds until there is a worker: a rented node must first be launched."""
    return BOOT_SECONDS if offer.market in {"spot", "on_demand"} else LOCAL_BOOT_SECONDS


def _reclaims(offer: NodeOffer, kind: Offer | None, history: TypeHistory | None) -> ReclaimRate:
    """Of one node: as the ledger says where it has seen enough, else by the class of its type."""
    if offer.market != "spot":
        return NEVER
    if history is not None and history.hours >= ENOUGH_HOURS:
        return seen_rate(history.reclaimed, history.hours)
    return reclaim_rate(kind.interruption if kind else "")


def _throughput(share: Share, offer: NodeOffer, kind: Offer | None, known: Known) -> Throughput:
    """How fast a GPU of the offer renders images of the share. Raises: Unknown."""
    model, variant, work = share.model, share.variant, share.work
    shape = Shape(model.name, variant.width, variant.height, variant.steps)
    if (seen := known.on_types.get((offer.type, shape))) is not None:
        exact = Measurement(origin="measured", work=work, card=offer.type, rates=seen.rates, images=seen.images)
        if found := measured(work, [exact]):
            return found
    here, card = _here(known.catalogue, model), _card(known.catalogue, kind)
    if card is None:
        raise Unknown(
            "nothing was measured here yet; render a few images first"
            if offer.market == "local"
            else f"its card is not in the catalogue, and this store has no image of {shape.model} from it"
        )
    if here is None:
        raise Unknown(f"{model.name} is not in the catalogue, and this store has no image of it from such a node")
    elsewhere = [
        Measurement(
            origin="measured",
            work=work_of(
                known.catalogue,
                here,
                width=other.width,
                height=other.height,
                steps=other.steps,
                precision=work.precision,
                quantization=work.quantization,
            ),
            card=name,
            rates=one.rates,
            images=one.images,
        )
        for (name, other), one in known.on_cards.items()
        if other.model == model.name
    ]
    rate = estimate(known.catalogue, work, card, elsewhere)
    if rate is None:
        raise Unknown(f"{card.name} has no {work.quantization if work.quantization == 'fp8' else work.precision}")
    return rate


def _work(catalogue: Catalogue, model: Model, variant: Variant) -> Work:
    """One image of the variant; of a model that the catalogue does not know, its arithmetic is left at one unit."""
    here = _here(catalogue, model)
    quantization = str(model.levers.get("quantization", "none"))
    if here is None:
        return Work(
            model=model.name,
            width=variant.width,
            height=variant.height,
            steps=variant.steps,
            precision=variant.precision,
            quantization=quantization,
            teraflops=1.0,
        )
    return work_of(
        catalogue,
        here,
        width=variant.width,
        height=variant.height,
        steps=variant.steps,
        guidance_scale=variant.guidance_scale,
        precision=variant.precision,
        quantization=quantization,
    )


def _weight_bytes(catalogue: Catalogue, model: Model) -> float:
    """What a worker loads of a model; 0 of one that the catalogue does not know."""
    here = _here(catalogue, model)
    if here is None:
        return 0.0
    parts = (here.denoiser, here.decoder, *here.text_encoders)
    return sum(catalogue.components[part].parameters for part in parts) * (4.0 if model.precision == "fp32" else 2.0)


def _here(catalogue: Catalogue, model: Model) -> CatalogueModel | None:
    """The model in the catalogue."""
    return catalogue.model(model.name) or catalogue.model(model.source)


def _card(catalogue: Catalogue, kind: Offer | None) -> Gpu | None:
    """The card of an offer."""
    return catalogue.gpu(kind.card) if kind and kind.card else None
