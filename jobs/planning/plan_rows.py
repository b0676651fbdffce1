"""One type of node, priced: how fast it renders the job's images, whether they fit, and what its nodes then cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from jobs.planning.known_rates import Known, Share, catalogued, measurements
from jobs.planning.model_parts import catalogue_parts
from pipeline.catalogue.catalogue import Catalogue, Offer
from pipeline.catalogue.gpus import Gpu
from pipeline.estimates.fitting import fit_cards
from pipeline.estimates.interruptions import NEVER, ReclaimRate, reclaim_rate, seen_rate
from pipeline.estimates.memory import Shape as MemoryShape
from pipeline.estimates.quote import (
    BOOT_SECONDS,
    STATED_STARTUP_SPREAD,
    Load,
    Nodes,
    Quote,
    quote,
    startup_seconds,
    startup_spread,
)
from pipeline.estimates.throughput import Throughput, estimate, measured
from pipeline.job import NodeOffer
from pipeline.model import Model
from pipeline.performance import frozen_levers
from pipeline.reports.measured import TypeHistory

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
    fits = [_largest_batch(known.catalogue, share, kind, offer) for share in shares]
    rates = [_throughput(share, offer, kind, known) for share in shares]
    parts = [Load(images=share.images, throughput=rate, batch=batch) for share, rate in zip(shares, rates, strict=True)]
    heaviest = max(_weight_bytes(known.catalogue, share.model) for share in shares)
    history = known.histories.get((offer.type, offer.market))
    start = history.startup_seconds if history else startup_seconds(heaviest, boot_seconds=_boot(offer))
    tasks = math.ceil(sum(share.images for share in shares) / batch)
    held = max(1, min(offer.max, math.ceil(tasks / offer.gpus)))
    spread = STATED_STARTUP_SPREAD
    if history:
        spread = startup_spread(start, history.startup_deviation_seconds, seen=history.nodes, nodes=held)
    nodes = Nodes(
        count=held,
        gpus=offer.gpus,
        usd_per_hour=offer.usd_per_hour,
        startup_seconds=start,
        startup_spread=spread,
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


def _largest_batch(catalogue: Catalogue, share: Share, kind: Offer | None, offer: NodeOffer) -> int | None:
    """Images of the largest batch that fits on the offer's card; None where it is not known.

    Raises:
        Unknown: not even one image fits, or the card lacks the arithmetic; with what would do.
    """
    model, variant = share.model, share.variant
    here, card = catalogued(catalogue, model), _card(catalogue, kind, offer)
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
    model, work = share.model, share.work
    on_type = measurements(share, known, known.on_types, only=offer.type)
    if found := measured(work, on_type):
        return found
    here, card = catalogued(known.catalogue, model), _card(known.catalogue, kind, offer)
    if card is None:
        raise Unknown(
            "nothing was measured here yet; render a few images first"
            if offer.market == "local"
            else f"its card is not in the catalogue, and this store has no image of {model.name} from it; "
            "submit --pilot 16 measures it, and gpu: in the job file names a card that is known"
        )
    if here is None:
        raise Unknown(
            f"{model.name} is not in the catalogue, and this store has no image of it from such a node; "
            "submit --pilot 16 measures it"
        )
    rate = estimate(known.catalogue, work, card, measurements(share, known, known.on_cards))
    if rate is None:
        raise Unknown(f"{card.name} has no {work.quantization if work.quantization == 'fp8' else work.precision}")
    return rate


def _weight_bytes(catalogue: Catalogue, model: Model) -> float:
    """What a worker loads of a model; 0 of one that the catalogue does not know."""
    here = catalogued(catalogue, model)
    if here is None:
        return 0.0
    parts = (here.denoiser, here.decoder, *here.text_encoders)
    return sum(catalogue.components[part].parameters for part in parts) * (4.0 if model.precision == "fp32" else 2.0)


def _card(catalogue: Catalogue, kind: Offer | None, offer: NodeOffer) -> Gpu | None:
    """The card of an offer: by the catalogue, else as the job file names it."""
    name = kind.card if kind and kind.card else offer.gpu
    return catalogue.gpu(name) if name else None
