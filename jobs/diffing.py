"""What an edited job would render anew: two jobs side by side, each a job file, a manifest or a job of the store."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.driving import stored_requests
from jobs.freezing import freeze
from jobs.jobfile.jobfile import JobFile
from jobs.jobfile.loading import JOB_FILE_ENDINGS
from jobs.planning.estimating import Estimate, estimate, missing_images
from jobs.shown_requests import ShownRequest, shown_requests
from jobs.watching.listing import find_job, read_job
from jobs.wiring import open_store, store_of
from pipeline.driving.reuse import form
from pipeline.job import Job
from pipeline.plan import Plan
from pipeline.ports import Store
from pipeline.request_table import RequestTable

_MANIFEST_ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet", ".pq", ".txt", ".gz", ".zst")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two jobs side by side; every image is counted once, however many rows ask for it."""

    old: str
    new: str
    """Ids of the jobs; the new one need not be there."""
    store: str
    """Of the new one."""
    old_images: int
    new_images: int
    kept: int
    """Images of both, in the same form of file."""
    added: int
    """Images of the new one alone."""
    dropped: int
    """Images of the old one alone; what was rendered of them stays in the store."""
    there: int
    """Images of the new one that the store has already, whichever job made them: they cost nothing."""
    estimate: Estimate
    """What all others would cost."""
    requests: tuple[ShownRequest, ...]
    """The first images to render, where they were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two."""

    job: Job
    table: RequestTable
    store: Store


def difference(
    old: str, new: str, *, load: Callable[[str], JobFile], store: str | None = None, show: int = 0
) -> Difference:
    """Compare two jobs; nothing is written.

    Args:
        old: a job file, a manifest, or a job of the store by id, name or the beginning of an id.
        new: the same.
        load: makes a job file of a location, as options and environment have it.
        store: where jobs lie; None: `SPOTRENDER_STORE`.
        show: give the first so many images to render.

    Raises:
        UserError: one of the two cannot be read; all problems of a manifest at once.
    """
    with _opened(old, load, store) as before, _opened(new, load, store) as after:
        plan = Plan(after.table, after.job.sizes)
        earlier = Plan(before.table, before.job.sizes)
        same_form = form(before.job.output) == form(after.job.output)
        kept = int(np.count_nonzero(plan.find(earlier.words) >= 0)) if same_form else 0
        missing = missing_images(after.store, after.job, plan)
        return Difference(
            old=before.job.id,
            new=after.job.id,
            store=after.store.uri,
            old_images=earlier.images,
            new_images=plan.images,
            kept=kept,
            added=plan.images - kept,
            dropped=earlier.images - kept,
            there=plan.images - int(np.count_nonzero(missing)),
            estimate=estimate(after.store, after.job, plan, missing),
            requests=shown_requests(after.job, after.table, np.sort(plan.positions[missing])[:show].tolist()),
        )


@contextmanager
def _opened(text: str, load: Callable[[str], JobFile], store: str | None) -> Iterator[_Side]:
    """A job as it is written down, or as it was frozen. Raises: UserError."""
    if _is_file(text):
        job_file = load(text)
        with freeze(job_file, environ=os.environ, stdin=None) as frozen:
            yield _Side(job=frozen.job, table=frozen.table(), store=open_store(job_file.store))
        return
    place = store_of(store, os.environ)
    job = read_job(place, find_job(place, text))
    with stored_requests(place, job) as table:
        yield _Side(job=job, table=table, store=place)


def _is_file(text: str) -> bool:
    """Whether a file is meant, there or not, rather than a job of the store."""
    endings = (*JOB_FILE_ENDINGS, *_MANIFEST_ENDINGS)
    return "://" in text or text.lower().endswith(endings) or Path(text).expanduser().is_file()
