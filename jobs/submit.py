"""Submit a job: freeze it, put it into the store, drive it to its end. The same call resumes it."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from jobs.computing import IN_PROCESS, size_of
from jobs.delivery.delivering import deliver_at_end, is_delivered
from jobs.driving import drive, hand_over, is_driven, unconditional_warning, who_asks
from jobs.freezing import Frozen, freeze
from jobs.jobfile.jobfile import JobFile
from jobs.planning.estimating import Estimate, estimate, missing_images
from jobs.planning.expecting import planned
from jobs.prices.head_price import head_price
from jobs.prices.spending import spent_on
from jobs.shown_requests import ShownRequest, first_requests
from jobs.wanted_again import wanted_status
from jobs.wiring import open_store, resolve_here_first, resolve_model
from pipeline.driving.control import Order, ask, latest_settings, put_settings
from pipeline.errors import AlreadyExistsError, JobRefusedError
from pipeline.estimates.quote import Dollars
from pipeline.job import Job, JobState, Settings, job_from_json, job_to_json
from pipeline.layout import job_key, report_key, requests_key
from pipeline.model import Model
from pipeline.plan import Plan
from pipeline.ports import Store
from pipeline.probe import probe_conditional
from pipeline.status import Status, starting_status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitResult:
    """How a job stands when `submit` is done with it."""

    job: str
    state: JobState
    store: str
    total: int
    """Images, each counted once however many rows ask for it."""
    rendered: int
    """By this job, over all of its drivers."""
    reused: int
    """Made by earlier jobs under this store."""
    failed: int
    seconds: float
    """Wall time of all drivers."""
    usd: Decimal
    """Accrued over all drivers."""
    spent: dict[str, Decimal]
    """What `usd` went into, by category of the ledger; empty before any node was used."""
    report: str
    """Store key of the cost report; empty before there is one."""
    rendered_now: int
    """Since this call."""
    message: str
    warnings: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    """What workers decided by themselves, such as not to compile."""
    quoted_usd_per_image: Dollars | None = None
    """What its pilot let expect, where it had one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationResult:
    """What a job would be."""

    job: str
    rows: int
    """Of the manifest."""
    images: int
    """Rows times what templates, sweep and `images_per_prompt` make of each."""
    distinct: int
    """Images to be rendered."""
    tasks: int
    models: tuple[str, ...]
    warnings: tuple[str, ...]
    requests: tuple[ShownRequest, ...]
    """The first images, where they were asked for."""
    estimate: Estimate | None
    """What it would cost, where that was asked for."""


def validate(
    job_file: JobFile, *, stdin: BinaryIO | None = None, show: int = 0, cost: bool = False
) -> ValidationResult:
    """Check a job and write nothing.

    Args:
        job_file: what to make.
        stdin: what a manifest `-` reads.
        show: give the first so many requests.
        cost: look into the store for what is there already, and for what such images have cost so far.

    Raises:
        UserError: with every problem.
    """
    look = partial(resolve_model if cost else resolve_here_first, store=open_store(job_file.store))
    with freeze(job_file, environ=os.environ, stdin=stdin or sys.stdin.buffer, resolve=look) as frozen:
        plan = Plan(frozen.table(), frozen.job.sizes)
        store = open_store(job_file.store) if cost else None
        return ValidationResult(
            job=frozen.job.id,
            rows=frozen.rows,
            images=frozen.job.images,
            distinct=frozen.distinct,
            tasks=len(plan),
            models=tuple(model.name for model in frozen.job.models),
            warnings=frozen.warnings,
            requests=first_requests(frozen, show),
            estimate=None
            if store is None
            else estimate(store, frozen.job, plan, missing_images(store, frozen.job, plan)),
        )


def submit(
    job_file: JobFile,
    *,
    address: str | None = None,
    on_status: Callable[[Status], None] | None = None,
    on_warnings: Callable[[tuple[str, ...]], None] | None = None,
    say: Callable[[str], None] | None = None,
    stdin: BinaryIO | None = None,
    detach: bool = False,
    nodes_are_meant: bool = True,
    only_rows: "NDArray[np.bool_] | None" = None,
    change_settings: Callable[[Settings], Settings] | None = None,
) -> SubmitResult:
    """Run a job to its end, or resume it; a finished one renders nothing.

    A job that is being driven gets the settings, is followed to its end, and is taken over should its driver die.

    Args:
        job_file: what to make.
        address: an existing Ray cluster; None for one on this machine; with `detach` that of its dashboard.
        on_status: told the status several times a second.
        on_warnings: told what is worth a thought, before anything is rendered.
        say: told what there is to say beside the status, such as which driver is followed.
        stdin: what a manifest `-` reads.
        detach: let the cluster drive the job, and return as soon as it has taken it.
        nodes_are_meant: whether it is worth a warning that the job names no nodes, so that their price is assumed.
        only_rows: which rows, after templates and sweep, the job is of; None: all.
        change_settings: makes the job's settings of those that the job file says.

    Raises:
        UserError: something must be mended first; nothing was written.
        StoreUnavailableError: the store does not answer; submit again later, nothing is lost.
        LeaseLostError: another driver has taken the job over while this one was silent.
        KeyboardInterrupt: interrupted while it followed another driver, which goes on.
    """
    cluster = None
    named = bool(job_file.nodes)
    head_price(os.environ, address=address)  # refused before anything is written
    if address is not None and address != IN_PROCESS and not job_file.nodes:
        cluster = (job_file.workers or 1, 1) if detach else size_of(address)
    with freeze(
        job_file, environ=os.environ, stdin=stdin or sys.stdin.buffer, cluster=cluster, only_rows=only_rows
    ) as read:
        frozen = read if change_settings is None else replace(read, settings=change_settings(read.settings))
        store = open_store(job_file.store)
        conditional = probe_conditional(store)
        frozen = replace(frozen, settings=planned(frozen, store))
        unnamed = not named and job_file.workers is None
        job, settings, new = enter(
            store, frozen, keep_nodes=unnamed and (not detach or is_driven(store, frozen.job.id))
        )
        warnings = frozen.warnings
        if cluster is not None and nodes_are_meant:
            offer = frozen.settings.nodes[0]
            price = f"${offer.usd_per_hour} an hour ({offer.price_source})"
            named_none = f"the job names no nodes, so it takes all of the cluster's, each counted at {price}"
            warnings += (f"{named_none}; put them under nodes: in a job file, as `spotrender plan` advises",)
        if not conditional:
            warnings += (unconditional_warning(store),)
        if detach and not job_file.nodes and not job_file.workers:
            warnings += ("one worker is asked for: say more with --workers, or name nodes: in a job file",)
        if on_warnings is not None:
            on_warnings(warnings)
        status = wanted_status(store, job.id)
        if not new and status is not None and status.complete:
            done = "every image is there" if status.state is JobState.SUCCEEDED else "all was tried"
            wanted = frozen.settings.deliver
            if wanted is not None and not is_delivered(store, job, wanted):
                deliver_at_end(store, job, frozen.settings, status, say=say or (lambda _text: None))
            return result_of(
                replace(status, rendered_now=0, message=f"nothing to render: {done} already"), store, warnings
            )
        if not new:
            ask(store, job.id, by=who_asks(), at=datetime.now(UTC).isoformat(), order=Order.RUN, settings=settings)
        if detach:
            known_as = hand_over(job, store, address=address, workers=job_file.workers)
            now = datetime.now(UTC).isoformat()
            pending = starting_status(job.id, total=frozen.distinct, earlier=status, now=now, fence=0)
            message = f"the cluster drives it as Ray job {known_as}"
            return result_of(replace(pending, message=message), store, warnings)
        status = drive(
            job,
            frozen.table(),
            store,
            address=address,
            workers=job_file.workers,
            nodes_here=None if named else frozen.settings.nodes,
            conditional=conditional,
            on_status=on_status,
            say=say,
        )
    return result_of(status, store, warnings)


def enter(store: Store, frozen: Frozen, *, keep_nodes: bool = False) -> tuple[Job, int, bool]:
    """Put a job into the store, or find it there; gives the job, the number of its settings, and whether it is new.

    The requests files go first; the create-only put of `job.json` makes the job exist.

    Args:
        store: where to.
        frozen: the job as it was read.
        keep_nodes: a job that is there keeps its nodes: the new ones are only what this machine has.

    Raises:
        JobRefusedError: the job was frozen under another pixel version of its renderer.
    """
    job, key = frozen.job, job_key(frozen.job.id)
    new = store.head(key) is None
    if new:
        with ThreadPoolExecutor(4) as executor:
            list(
                executor.map(
                    lambda pair: store.upload(requests_key(job.id, pair[0]), str(pair[1])), enumerate(frozen.files)
                )
            )
        number = put_settings(store, job.id, frozen.settings)
        try:
            store.put(key, job_to_json(job), mode="create")
        except AlreadyExistsError:
            new = False
    if not new:
        there = job_from_json(store.get(key))
        check_pixel_versions(there, job)
        _, before = latest_settings(store, job.id)
        settings = replace(frozen.settings, expected=frozen.settings.expected or before.expected)
        if keep_nodes:
            settings = replace(settings, nodes=before.nodes)
        number = put_settings(store, job.id, settings)
        job = replace(there, models=_present_sources(there, job))
    return job, number, new


def check_pixel_versions(there: Job, here: Job) -> None:
    """Refuse to mix pixels of two versions. Raises: JobRefusedError."""
    for before, now in zip(there.models, here.models, strict=True):
        if before.pixel_version != now.pixel_version:
            raise JobRefusedError(
                f"{there.id}: frozen with {before.renderer} pixel version {before.pixel_version}, this is"
                f" {now.pixel_version}; resume it with the version of spotrender that began it, or give it a new name"
            )


def _present_sources(there: Job, here: Job) -> tuple[Model, ...]:
    """The frozen models, loaded from where they are now: the same weights may lie in another folder, or the store."""
    places = {model.revision: (model.source, model.weights) for model in here.models}
    return tuple(
        replace(model, source=places[model.revision][0], weights=places[model.revision][1]) for model in there.models
    )


def result_of(status: Status, store: Store, warnings: tuple[str, ...]) -> SubmitResult:
    """What there is to tell of a job that stands so."""
    return SubmitResult(
        job=status.job,
        state=status.state,
        store=store.uri,
        total=status.total,
        rendered=status.rendered,
        reused=status.reused,
        failed=status.failed,
        seconds=status.seconds,
        usd=status.usd,
        spent=spent_on(store, status.job),
        report=report_key(status.job) if status.fence and store.head(report_key(status.job)) else "",
        rendered_now=status.rendered_now,
        message=status.message,
        warnings=warnings,
        remarks=status.remarks,
    )
