"""What of a job is still to be rendered, and what that would cost: by what such images have cost in its store."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from jobs.watching.listing import READERS
from pipeline.clean_up.collected import removed_keys
from pipeline.driving.reuse import find_reusable
from pipeline.job import Job
from pipeline.layout import job_key
from pipeline.ledger.checkpoint import committed_table
from pipeline.plan import Plan
from pipeline.ports import Store
from pipeline.reports.ledger import open_ledger
from pipeline.reports.measured import Shape, usd_per_image
from pipeline.request_table import id_words
from pipeline.status import read_status

_NANO = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Images to render, and money that is not spent yet."""

    images: int
    """To render: those that neither this job nor an earlier one of the store has made."""
    usd: Decimal | None
    """Of the images whose cost is known; None when that is none of them."""
    unknown: int
    """Images of models, sizes and steps that this store has no figures of."""

    @property
    def usd_per_image(self) -> Decimal | None:
        """Of those that are known; None without any."""
        known = self.images - self.unknown
        return self.usd / known if self.usd is not None and known else None


def missing_images(store: Store, job: Job, plan: Plan) -> NDArray[np.bool_]:
    """Which images of the plan neither this job nor an earlier one of the store has made."""
    missing = np.ones(plan.images, dtype=bool)
    with ThreadPoolExecutor(READERS) as readers:
        if store.head(job_key(job.id)) is not None:
            known = committed_table(store, job, readers)
            made = known.filter([outcome in {"rendered", "reused"} for outcome in known["outcome"].to_pylist()])
            status = read_status(store, job.id)
            if status is not None and status.collected:
                gone = removed_keys(store, made["key"].to_pylist(), readers)
                made = made.filter([key not in gone for key in made["key"].to_pylist()])
            places = plan.find(id_words(made["image_id"]))
            missing[places[places >= 0]] = False
        reusable = find_reusable(store, plan, missing, job.output, readers)
    missing[reusable.places] = False
    return missing


def estimate(store: Store, job: Job, plan: Plan, missing: NDArray[np.bool_]) -> Estimate:
    """What the missing images would cost; where none is missing the ledger is not read."""
    images = _shapes(job, plan, np.flatnonzero(missing))
    total = sum(images.values())
    if not total:
        return Estimate(images=0, usd=Decimal(0), unknown=0)
    with open_ledger(store) as ledger:
        measured = usd_per_image(ledger)
    known = {shape: count for shape, count in images.items() if shape in measured}
    usd = sum((measured[shape] * count for shape, count in known.items()), Decimal(0)).quantize(_NANO)
    return Estimate(images=total, usd=usd if known else None, unknown=total - sum(known.values()))


def _shapes(job: Job, plan: Plan, places: NDArray[np.int64]) -> Counter[Shape]:
    """How many images of each shape are at these places."""
    shapes: Counter[Shape] = Counter()
    ordinals, counts = np.unique(plan.variants_at(places), return_counts=True)
    for ordinal, count in zip(ordinals.tolist(), counts.tolist(), strict=True):
        variant = job.variants[ordinal]
        shapes[Shape(job.variant_models[ordinal], variant.width, variant.height, variant.steps)] += count
    return shapes
