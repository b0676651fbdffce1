"""Drive a job out of what is frozen in its store: no job file, no manifest, from any machine that can."""

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from jobs.computing import IN_PROCESS, size_of
from jobs.controlling import Asked
from jobs.driving import drive, hand_over, lease_of, stored_requests, who_asks
from jobs.jobfile.jobfile import JobFile
from jobs.retrying import forgive
from jobs.submit import SubmitResult, result_of
from jobs.undriven import living_driver
from jobs.watching.listing import find_job, read_job
from jobs.wiring import resolve_model, settings_of
from pipeline.clock import SystemClock
from pipeline.driving.control import Order, ask, latest_settings, put_settings
from pipeline.errors import JobRefusedError, ModelError
from pipeline.job import Job, JobState, NodeOffer
from pipeline.model import Model
from pipeline.ports import Store
from pipeline.status import Status, read_status, starting_status


def resume(
    store: Store,
    text: str,
    *,
    address: str | None = None,
    workers: int | None = None,
    detach: bool = False,
    on_status: Callable[[Status], None] | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> SubmitResult | Asked:
    """Let a paused, stopped or canceled job go on.

    A driver that waits starts its workers again within seconds. Without one the job is driven from here, as `submit`
    would, to its end.

    Args:
        store: where it lies.
        text: which one.
        address: an existing Ray cluster; None for one on this machine; with `detach` that of its dashboard.
        workers: at most so many.
        detach: let the cluster drive the job, and return as soon as it has taken it.
        on_status: told the status several times a second.
        say: told what there is to say beside it.

    Raises:
        JobRefusedError: no such job, one that has nothing left to do, or one that this version or machine cannot drive.
    """
    job = read_job(store, find_job(store, text))
    status = read_status(store, job.id)
    lease, clock = lease_of(store, job.id, clock=SystemClock()), SystemClock()
    seen, free = lease.look()
    if status is not None and status.complete and (seen is None or free):
        left = f"; `spotrender retry {job.id}` tries what failed again" if status.failed else ""
        raise JobRefusedError(f"{job.id} is {status.state}: there is nothing to resume{left}")
    asked = ask(store, job.id, by=who_asks(), at=datetime.now(UTC).isoformat(), order=Order.RUN)
    owner = living_driver(lease, clock=clock, say=say)
    if owner is not None:
        state = status.state if status else JobState.PENDING
        message = f"its driver goes on; `spotrender wait {job.id}` follows it"
        return Asked(job=job.id, order=Order.RUN, number=asked.number, state=state, driver=str(owner), message=message)
    return drive_stored(
        store,
        models_here(job),
        address=address,
        workers=workers,
        detach=detach,
        on_status=on_status,
        say=say,
        status=status,
    )


def retry(
    store: Store,
    text: str,
    *,
    causes: Collection[str] = (),
    attempt: str,
    address: str | None = None,
    workers: int | None = None,
    detach: bool = False,
    on_status: Callable[[Status], None] | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> SubmitResult:
    """Render the failed images of a job once more, and whatever else is missing.

    Args:
        store: where it lies.
        text: which one.
        causes: only failures of these; all when empty.
        attempt: a unique id without `-`.
        address: as of `resume`, like all that follows.

    Raises:
        JobRefusedError: no such job or cause, a driver is at work on it, or it cannot be driven from here.
    """
    job = models_here(read_job(store, find_job(store, text)))
    forgiven = forgive(store, job.id, causes=causes, attempt=attempt, clock=SystemClock(), say=say)
    status = forgiven.status
    if not forgiven.images:
        if status is None:
            raise JobRefusedError(f"{job.id} has no driver yet, so nothing failed; submit it")
        of = f" of {', '.join(causes)}" if causes else ""
        return result_of(replace(status, rendered_now=0, message=f"nothing to retry: no failed image{of}"), store, ())
    counts = ", ".join(f"{count} {cause}" for cause, count in sorted(forgiven.causes.items()))
    say(f"{job.id}: failed images to be rendered once more: {counts}")
    ask(store, job.id, by=who_asks(), at=datetime.now(UTC).isoformat(), order=Order.RUN)
    return drive_stored(
        store, job, address=address, workers=workers, detach=detach, on_status=on_status, say=say, status=status
    )


def drive_stored(
    store: Store,
    job: Job,
    *,
    address: str | None,
    workers: int | None,
    detach: bool,
    status: Status | None,
    on_status: Callable[[Status], None] | None,
    say: Callable[[str], None],
) -> SubmitResult:
    """Drive a job that stands in the store, to its end; arguments as of `resume`, `status` is its last."""
    if detach:
        if (nodes := _nodes_here(store, job, cluster=(workers or 1, 1), workers=workers)) is not None:
            put_settings(store, job.id, replace(latest_settings(store, job.id)[1], nodes=nodes))
        known_as = hand_over(job, store, address=address, workers=workers)
        now = datetime.now(UTC).isoformat()
        total = status.total if status else job.images
        pending = starting_status(job.id, total=total, earlier=status, now=now, fence=0)
        return result_of(replace(pending, message=f"the cluster drives it as Ray job {known_as}"), store, ())
    cluster = None if address is None or address == IN_PROCESS else size_of(address)
    nodes = _nodes_here(store, job, cluster=cluster, workers=workers)
    with stored_requests(store, job) as table:
        ended = drive(
            job, table, store, address=address, workers=workers, nodes_here=nodes, on_status=on_status, say=say
        )
    return result_of(ended, store, ())


def _nodes_here(
    store: Store, job: Job, *, cluster: tuple[int, int] | None, workers: int | None
) -> tuple[NodeOffer, ...] | None:
    """What this machine or cluster has, for a job that names no nodes of its own; else None."""
    _, settings = latest_settings(store, job.id)
    if any(offer.type != "local" or offer.price_source == "job file" for offer in settings.nodes):
        return None
    here = JobFile(name=job.name, manifest=job.manifest, store=store.uri, model=job.models[0].name, workers=workers)
    return settings_of(here, os.environ, cluster=cluster).nodes


def models_here(job: Job) -> Job:
    """A stored job whose models are loaded from where they are on this machine.

    Raises:
        JobRefusedError: this version makes other pixels, or a model is not here.
    """
    return replace(job, models=tuple(_model_here(job, model) for model in job.models))


def _model_here(job: Job, model: Model) -> Model:
    """A frozen model, loaded from where it is on this machine. Raises: JobRefusedError."""
    from pipeline.renderers.table import renderer_kind

    version = renderer_kind(model.renderer).pixel_version
    if version != model.pixel_version:
        raise JobRefusedError(
            f"{job.id}: frozen with {model.renderer} pixel version {model.pixel_version}, this is {version};"
            " resume it with the version of spotrender that began it, or give it a new name"
        )
    if model.weights or not Path(model.source).is_absolute() or Path(model.source).exists():
        return model
    try:
        found = resolve_model(model.name, precision=model.precision, options=dict(model.options))
    except ModelError:
        found = model
    if found.revision != model.revision or not Path(found.source).exists():
        raise JobRefusedError(
            f"{job.id}: model {model.name} lies in {model.source}, which is not here;"
            " resume the job on a machine that has it, or submit its job file again from here"
        )
    return replace(model, source=found.source)
