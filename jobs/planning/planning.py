"""What a job would cost on each type of node, and how long it would take, before anything is rented or written."""

import math
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from jobs.freezing import Frozen, freeze
from jobs.jobfile.jobfile import JobFile, NodeEntry
from jobs.planning.alternatives import USD_PER_KWH, Alternatives, compare_ways
from jobs.planning.catalogue import read_catalogue, read_offers
from jobs.planning.estimating import missing_images
from jobs.planning.known_rates import Known, Share, known_from, shares_of
from jobs.planning.plan_rows import PlanRow, Unknown, Unquoted, plan_row
from jobs.planning.planned_models import PlannedModels
from jobs.prices.node_offers import node_offers
from jobs.prices.price_files import storage_rates
from jobs.profiles import node_types
from jobs.wiring import open_store
from pipeline.job import NodeOffer
from pipeline.plan import Plan
from pipeline.ports import Store
from pipeline.pricing.storage_cost import StorageCost, StoreCalls, storage_cost
from pipeline.reports.ledger import open_ledger
from pipeline.reports.measured import histories, session_rates, usd_per_image

BYTES_PER_PIXEL = {"png": 1.4, "webp": 0.25, "jpeg": 0.3}
"""Stated: what an image of a diffusion model takes by format; a demonstration image takes less."""

_CALLS_PER_BATCH = 2
"""Puts beside the images: the record, and its share of ledger and status."""


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
    alternatives: Alternatives | None
    """Where they were asked for, and anything is to be rendered."""
    notes: tuple[str, ...]


def plan_job(
    job_file: JobFile,
    *,
    nodes: int = 1,
    compare: bool = False,
    usd_per_kwh: Decimal = USD_PER_KWH,
    stdin: BinaryIO | None = None,
    now: datetime | None = None,
) -> JobPlan:
    """Price a job on every type of node that it may use.

    Args:
        job_file: where it names no nodes, all types of the catalogue are priced, in both markets.
        nodes: so many of each type, where the job file names none.
        compare: whether to price other ways to have the job made too.
        usd_per_kwh: of electricity, for a card of one's own.
        stdin: what a manifest `-` reads.
        now: the instant that a deadline is measured from; the present one when not given.

    Raises:
        UserError: the job has problems; all of a manifest at once.
    """
    catalogue = read_catalogue()
    entries = job_file.nodes or _all_types(nodes)
    store = open_store(job_file.store)
    planned = PlannedModels(catalogue, store)
    frozen_with = job_file if job_file.nodes else job_file.model_copy(update={"nodes": _UNDECIDED})
    with freeze(frozen_with, environ=os.environ, stdin=stdin or sys.stdin.buffer, resolve=planned) as frozen:
        plan = Plan(frozen.table(), frozen.job.sizes)
        missing = missing_images(store, frozen.job, plan)
        with open_ledger(store) as ledger:
            usd_per_image(ledger)
            known = known_from(catalogue, session_rates(ledger), histories(ledger))
        render = int(np.count_nonzero(missing))
        shares = shares_of(frozen, _images(plan, missing), catalogue)
        offers = node_offers(job_file.model_copy(update={"nodes": entries}), os.environ)
        rows, unquoted = _rows(shares, offers, known, batch=frozen.job.sizes.batch)
        storage = _storage(job_file, frozen, shares)
        deadline = job_file.deadline
        made = [row for row in rows if deadline and _ends(row, now or datetime.now(UTC)) <= deadline]
        cheapest = rows[0] if rows else None
        in_time = made[0] if made else None
        chosen, alternatives = in_time or cheapest, None
        if compare and shares:
            entries = _on_demand(chosen.nodes if chosen else nodes)
            offers = node_offers(job_file.model_copy(update={"nodes": entries}), os.environ)
            on_demand, _ = _rows(shares, offers, known, batch=frozen.job.sizes.batch)
            alternatives = compare_ways(
                shares, chosen, on_demand, known, batch=frozen.job.sizes.batch, usd_per_kwh=usd_per_kwh
            )
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
            chosen=chosen,
            deadline=deadline,
            budget_usd=job_file.budget.usd,
            storage=storage,
            alternatives=alternatives,
            notes=(*planned.notes, *(note for note in frozen.warnings if note not in planned.notes)),
        )


def rows_of(frozen: Frozen, store: Store) -> list[PlanRow]:
    """A row for each type of node of a job that is read already, as if none of its images were there."""
    catalogue, plan = read_catalogue(), Plan(frozen.table(), frozen.job.sizes)
    with open_ledger(store) as ledger:
        usd_per_image(ledger)
        known = known_from(catalogue, session_rates(ledger), histories(ledger))
    shares = shares_of(frozen, _images(plan, np.ones(plan.images, dtype=np.bool_)), catalogue)
    return _rows(shares, frozen.settings.nodes, known, batch=frozen.job.sizes.batch)[0]


_UNDECIDED = (NodeEntry(type="g6e.xlarge", market="on_demand"),)
"""A common card, by which levers are chosen while no node is."""


def _all_types(nodes: int) -> tuple[NodeEntry, ...]:
    """Every type that can be rented, in each market that has a price, and this machine."""
    spot = (row.type for row in node_types().values() if row.spot_usd_per_hour is not None)
    return (
        NodeEntry(type="local", market="local", max=1),
        *(NodeEntry(type=name, market="spot", max=nodes) for name in spot),
        *_on_demand(nodes),
    )


def _on_demand(nodes: int) -> tuple[NodeEntry, ...]:
    """Every type that can be rented, on demand."""
    return tuple(NodeEntry(type=name, market="on_demand", max=nodes) for name in node_types())


def _images(plan: Plan, missing: NDArray[np.bool_]) -> Counter[int]:
    """Images to render by the number of their variant."""
    numbers, counts = np.unique(plan.variants_at(np.flatnonzero(missing)), return_counts=True)
    return Counter(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))


def _rows(
    shares: Sequence[Share], offers: Sequence[NodeOffer], known: Known, *, batch: int
) -> tuple[list[PlanRow], list[Unquoted]]:
    """A row for each offer that something can be said of, the cheapest first."""
    types = read_offers(known.catalogue)
    rows, unquoted = [], list[Unquoted]()
    for offer in offers if shares else ():
        try:
            rows.append(plan_row(shares, offer, types.get(offer.type), known, batch=batch))
        except Unknown as unknown:
            unquoted.append(Unquoted(node_type=offer.type, market=offer.market, why=str(unknown)))
    return sorted(rows, key=lambda row: (row.quote.usd.middle, row.node_type, row.market)), unquoted


def _storage(job_file: JobFile, frozen: Frozen, shares: Sequence[Share]) -> StorageCost:
    """What the store charges for the images to render."""
    images = sum(share.images for share in shares)
    pixels = sum(share.images * share.variant.width * share.variant.height for share in shares)
    size = int(pixels * BYTES_PER_PIXEL[frozen.job.output.format])
    batches = math.ceil(images / frozen.job.sizes.batch)
    return storage_cost(
        StoreCalls(puts=images + _CALLS_PER_BATCH * batches), size, storage_rates(job_file.store, os.environ)
    )


def _ends(row: PlanRow, now: datetime) -> datetime:
    """When the last image would be there."""
    return now + timedelta(hours=row.quote.hours.middle)
