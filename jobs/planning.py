"""What a job would cost on each type of node, and how long it would take, before anything is rented or written."""

import math
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from jobs.catalogue import read_catalogue, read_offers
from jobs.estimating import missing_images
from jobs.freezing import Frozen, freeze
from jobs.jobfile import JobFile, NodeEntry
from jobs.model_parts import catalogue_parts
from jobs.node_offers import node_offers
from jobs.planned_models import PlannedModels
from jobs.price_files import storage_rates
from jobs.profiles import node_types
from jobs.wiring import open_store
from pipeline.catalogue.catalogue import Catalogue, Offer
from pipeline.estimates.fitting import fit_cards
from pipeline.estimates.memory import Shape as MemoryShape
from pipeline.estimates.quote import BOOT_SECONDS, Load, Nodes, Quote, quote, reclaims_per_hour, startup_seconds
from pipeline.estimates.throughput import Measurement, Throughput, estimate, measured
from pipeline.estimates.work import Work, work_of
from pipeline.job import NodeOffer
from pipeline.model import Model
from pipeline.performance import frozen_levers
from pipeline.plan import Plan
from pipeline.reports.ledger import open_ledger
from pipeline.reports.measured import SessionRate, Shape, TypeHistory, histories, session_rates, usd_per_image
from pipeline.request import Variant
from pipeline.storage_cost import StorageCost, StoreCalls, storage_cost

BYTES_PER_PIXEL = {"png": 1.4, "webp": 0.25, "jpeg": 0.3}
"""Stated: what an image of a diffusion model takes by format; a demonstration image takes less."""

ENOUGH_HOURS = 20.0
"""Hours of nodes of a type from which on the ledger's own rate of reclaims is believed."""

LOCAL_BOOT_SECONDS = 10.0
"""Stated: until a worker of this machine, which is there already, can load a model."""

_CALLS_PER_BATCH = 2
"""Puts beside the images: the record, and its share of ledger and status."""

_ON_DEMAND_LIKE = ("on_demand", "local")


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
class JobPlan:
    """A job, priced; nothing was written."""

    job: str
    store: str
    images: int
    """Distinct images of the job."""
    there: int
    """Of these, made already, by this job or an earlier one of the store."""
    render: int
    """Of these, to render."""
    rows: tuple[PlanRow, ...]
    """The cheapest for the whole job first."""
    unquoted: tuple[Unquoted, ...]
    cheapest: PlanRow | None
    fastest: PlanRow | None
    in_time: PlanRow | None
    """The cheapest that makes the deadline; None without a deadline, or where none makes it."""
    chosen: PlanRow | None
    """Of those the job names, or of all where it names none."""
    deadline: datetime | None
    budget_usd: Decimal | None
    storage: StorageCost
    """Of the images to render, one upload of each."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What estimates rest on."""

    catalogue: Catalogue
    rates: Sequence[SessionRate]
    histories: Mapping[tuple[str, str], TypeHistory]


def plan_job(
    job_file: JobFile, *, nodes: int = 1, stdin: BinaryIO | None = None, now: datetime | None = None
) -> JobPlan:
    """Price a job on every type of node that it may use.

    Args:
        job_file: where it names no nodes, all types of the catalogue are priced, in both markets.
        nodes: so many of each type, where the job file names none.
        stdin: what a manifest `-` reads.
        now: the instant that a deadline is measured from; the present one when not given.

    Raises:
        UserError: the job has problems; all of a manifest at once.
    """
    catalogue = read_catalogue()
    entries = job_file.nodes or _all_types(nodes)
    planned = PlannedModels(catalogue)
    frozen_with = job_file if job_file.nodes else job_file.model_copy(update={"nodes": _UNDECIDED})
    with freeze(frozen_with, environ=os.environ, stdin=stdin or sys.stdin.buffer, resolve=planned) as frozen:
        store = open_store(job_file.store)
        plan = Plan(frozen.table(), frozen.job.sizes)
        missing = missing_images(store, frozen.job, plan)
        with open_ledger(store) as ledger:
            usd_per_image(ledger)
            known = _Known(catalogue=catalogue, rates=session_rates(ledger), histories=histories(ledger))
        render = int(np.count_nonzero(missing))
        loads = _images(plan, missing)
        offers = node_offers(job_file.model_copy(update={"nodes": entries}), os.environ)
        rows, unquoted = _rows(frozen, loads, offers, known)
        storage = _storage(job_file, frozen, loads)
        deadline = job_file.deadline
        made = [row for row in rows if deadline and _ends(row, now or datetime.now(UTC)) <= deadline]
        cheapest = rows[0] if rows else None
        in_time = made[0] if made else None
        return JobPlan(
            job=frozen.job.id,
            store=store.uri,
            images=plan.images,
            there=plan.images - render,
            render=render,
            rows=tuple(rows),
            unquoted=tuple(unquoted),
            cheapest=cheapest,
            fastest=min(rows, key=lambda row: row.quote.hours.middle, default=None),
            in_time=in_time,
            chosen=in_time or cheapest,
            deadline=deadline,
            budget_usd=job_file.budget.usd,
            storage=storage,
            notes=(*planned.notes, *(note for note in frozen.warnings if note not in planned.notes)),
        )


_UNDECIDED = (NodeEntry(type="g6e.xlarge", market="on_demand"),)
"""A common card, by which levers are chosen while no node is."""


def _all_types(nodes: int) -> tuple[NodeEntry, ...]:
    """Every type that can be rented, in each market that has a price, and this machine."""
    entries = [NodeEntry(type="local", market="local", max=1)]
    for row in node_types().values():
        if row.spot_usd_per_hour is not None:
            entries.append(NodeEntry(type=row.type, market="spot", max=nodes))
        entries.append(NodeEntry(type=row.type, market="on_demand", max=nodes))
    return tuple(entries)


def _images(plan: Plan, missing: NDArray[np.bool_]) -> Counter[int]:
    """Images to render by the number of their variant."""
    numbers, counts = np.unique(plan.variants_at(np.flatnonzero(missing)), return_counts=True)
    return Counter(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))


def _rows(
    frozen: Frozen, loads: Counter[int], offers: Sequence[NodeOffer], known: _Known
) -> tuple[list[PlanRow], list[Unquoted]]:
    """A row for each offer that something can be said of, the cheapest first."""
    types = read_offers(known.catalogue)
    rows, unquoted = [], list[Unquoted]()
    for offer in offers if loads else ():
        try:
            rows.append(_row(frozen, loads, offer, types.get(offer.type), known))
        except _Unknown as unknown:
            unquoted.append(Unquoted(node_type=offer.type, market=offer.market, why=str(unknown)))
    return sorted(rows, key=lambda row: (row.quote.usd.middle, row.node_type, row.market)), unquoted


class _Unknown(Exception):  # noqa: N818 - it is an answer
    """Nothing can be said of a type; carries the reason."""


def _row(frozen: Frozen, loads: Counter[int], offer: NodeOffer, kind: Offer | None, known: _Known) -> PlanRow:
    """The quote of one offer. Raises: _Unknown."""
    models = {model.name: model for model in frozen.job.models}
    parts, bases, heaviest, batch = [], list[str](), 0.0, None
    for number, images in loads.items():
        variant, model = frozen.job.variants[number], models[frozen.job.variant_models[number]]
        largest = _largest_batch(known.catalogue, model, variant, kind)
        batch = largest if batch is None or (largest is not None and largest < batch) else batch
        rate = _throughput(model, variant, offer, kind, known)
        parts.append(Load(images=images, throughput=rate, batch=frozen.job.sizes.batch))
        bases.append(rate.basis)
        heaviest = max(heaviest, _weight_bytes(known.catalogue, model))
    history = known.histories.get((offer.type, offer.market))
    start = history.startup_seconds if history else startup_seconds(heaviest, boot_seconds=_boot(offer))
    tasks = math.ceil(sum(loads.values()) / frozen.job.sizes.batch)
    held = max(1, min(offer.max, math.ceil(tasks / offer.gpus)))
    nodes = Nodes(
        count=held,
        gpus=offer.gpus,
        usd_per_hour=offer.usd_per_hour,
        startup_seconds=start,
        reclaims_per_hour=_reclaims(offer, kind, history),
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
        batch=batch,
        quote=quote(parts, nodes),
        basis="; ".join(dict.fromkeys(bases)),
    )


def _largest_batch(catalogue: Catalogue, model: Model, variant: Variant, kind: Offer | None) -> int | None:
    """Images of the largest batch that fits on the offer's card; None where it is not known.

    Raises:
        _Unknown: not even one image fits, or the card lacks the arithmetic; with what would do.
    """
    here = catalogue.model(model.name) or catalogue.model(model.source)
    card = catalogue.gpu(kind.card) if kind and kind.card else None
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
        raise _Unknown(f"does not fit {card.name}: {found.why_not}; what would: {instead}")
    return found.largest_batch


def _boot(offer: NodeOffer) -> float:
    """Seconds until a node that must first be launched has a worker; this machine is there already."""
    return LOCAL_BOOT_SECONDS if offer.market == "local" else BOOT_SECONDS


def _reclaims(offer: NodeOffer, kind: Offer | None, history: TypeHistory | None) -> float:
    """Of one node in an hour: as the ledger says where it has seen enough, else by the class of its type."""
    if offer.market in _ON_DEMAND_LIKE:
        return 0.0
    if history is not None and history.hours >= ENOUGH_HOURS:
        return history.reclaimed / history.hours
    return reclaims_per_hour(kind.interruption if kind else "")


def _throughput(model: Model, variant: Variant, offer: NodeOffer, kind: Offer | None, known: _Known) -> Throughput:
    """How fast a GPU of the offer renders images of the variant. Raises: _Unknown."""
    here = known.catalogue.model(model.name) or known.catalogue.model(model.source)
    shape = Shape(model.name, variant.width, variant.height, variant.steps)
    work = _work(known.catalogue, model, variant)
    exact = [
        Measurement(origin="measured", work=work, card=one.node_type, rates=(one.images_per_second,), images=one.images)
        for one in known.rates
        if one.node_type == offer.type and one.shape == shape
    ]
    if found := measured(work, exact):
        return found
    card = known.catalogue.gpu(kind.card) if kind and kind.card else None
    if card is None:
        raise _Unknown(
            "nothing was measured here yet; render a few images first"
            if offer.market == "local"
            else f"its card is not in the catalogue, and this store has no image of {shape.model} from it"
        )
    if here is None:
        raise _Unknown(f"{model.name} is not in the catalogue, and this store has no image of it from such a node")
    elsewhere = [
        Measurement(
            origin="measured",
            work=work_of(
                known.catalogue,
                here,
                width=one.shape.width,
                height=one.shape.height,
                steps=one.shape.steps,
                precision=work.precision,
                quantization=work.quantization,
            ),
            card=found_card.name,
            rates=(one.images_per_second,),
            images=one.images,
        )
        for one in known.rates
        if one.shape.model == model.name and (found_card := known.catalogue.gpu(one.gpu)) is not None
    ]
    rate = estimate(known.catalogue, work, card, elsewhere)
    if rate is None:
        raise _Unknown(f"{card.name} has no {work.quantization if work.quantization == 'fp8' else work.precision}")
    return rate


def _work(catalogue: Catalogue, model: Model, variant: Variant) -> Work:
    """One image of the variant; of a model that the catalogue does not know, its arithmetic is left at one unit."""
    here = catalogue.model(model.name) or catalogue.model(model.source)
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
    here = catalogue.model(model.name) or catalogue.model(model.source)
    if here is None:
        return 0.0
    parts = (here.denoiser, here.decoder, *here.text_encoders)
    return sum(catalogue.components[part].parameters for part in parts) * (4.0 if model.precision == "fp32" else 2.0)


def _storage(job_file: JobFile, frozen: Frozen, loads: Counter[int]) -> StorageCost:
    """What the store charges for the images to render."""
    variants, images = frozen.job.variants, sum(loads.values())
    pixels = sum(count * variants[number].width * variants[number].height for number, count in loads.items())
    size = int(pixels * BYTES_PER_PIXEL[frozen.job.output.format])
    batches = math.ceil(images / frozen.job.sizes.batch)
    return storage_cost(
        StoreCalls(puts=images + _CALLS_PER_BATCH * batches), size, storage_rates(job_file.store, os.environ)
    )


def _ends(row: PlanRow, now: datetime) -> datetime:
    """When the last image would be there."""
    return now + timedelta(hours=row.quote.hours.middle)
