"""A few images of a job on each type of node that it may use; then a quote, and the job itself if that is in limits.

The pilot's images are committed by jobs of their own, one for each type, and the job takes them over at no cost. All
that is decided follows from the store: the same call again renders no image of the pilot twice.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jobs.computing import IN_PROCESS, size_of
from jobs.freezing import Frozen, freeze
from jobs.jobfile.jobfile import MAX_NAME, JobFile, NodeEntry
from jobs.planning.expecting import with_plan
from jobs.planning.plan_rows import PlanRow
from jobs.planning.planning import JobPlan, plan_job
from jobs.submit import SubmitResult, submit
from jobs.terminal_text import dollars
from jobs.wiring import open_store
from pipeline.errors import JobFileError
from pipeline.estimates.quote import Dollars
from pipeline.job import JobState, NodeOffer, Settings
from pipeline.layout import job_key
from pipeline.plan import Plan
from pipeline.status import Status

LONGEST: Final = timedelta(minutes=30)
"""Stated: for so long a type is tried, waiting for its node included; then the quote does without."""

_NANO = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piloted:
    """What came of a job that was to begin with a pilot."""

    result: SubmitResult
    quoted: bool
    """Whether it ended with the quote: the job itself is not in the store."""


def submit_with_pilot(
    job_file: JobFile,
    *,
    images: int,
    max_usd_per_image: Decimal | None = None,
    address: str | None = None,
    on_status: Callable[[Status], None] | None = None,
    on_warnings: Callable[[tuple[str, ...]], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> Piloted:
    """Render some images on each type of node, quote the rest, and go on if that is within the limits.

    A job that is in the store already is resumed without a pilot.

    Args:
        job_file: what to make; its budget is a limit too.
        images: of the pilot, on each type of node.
        max_usd_per_image: the most that an image may be expected to cost; None: as the job file's budget says.
        address: as of `submit`.
        on_status: as of `submit`.
        on_warnings: as of `submit`.
        say: told the quote.

    Raises:
        UserError: something must be mended first; nothing was written.
    """
    if job_file.manifest == "-":
        raise JobFileError("--pilot: a manifest from stdin can be read only once; write it to a file first")
    run = partial(submit, address=address, on_status=on_status, say=say)
    named = bool(job_file.nodes)
    cluster = None if address in {None, IN_PROCESS} or named else size_of(address)
    with freeze(job_file, environ=os.environ, stdin=None, cluster=cluster) as frozen:
        if open_store(job_file.store).head(job_key(frozen.job.id)) is not None:
            return Piloted(result=run(job_file, on_warnings=on_warnings), quoted=False)
        offers = frozen.settings.nodes
        chosen = _spread(frozen, images * len(offers), images_per_prompt=job_file.images_per_prompt)
        total, job, requests = frozen.distinct, frozen.job.id, frozen.requests
    made = []
    for number, offer in enumerate(offers):
        wanted = np.zeros(requests, dtype=bool)
        wanted[chosen[number :: len(offers)]] = True
        if wanted.any():
            part = job_file.model_copy(update={"name": _name(job_file.name, number + 1), "images_per_prompt": 1})
            made.append(run(part, only_rows=wanted, change_settings=partial(_of_pilot, offer=offer)))
            if made[-1].state in {JobState.PAUSED, JobState.CANCELED}:
                return Piloted(result=made[-1], quoted=False)
    here = (NodeEntry(type="local", market="local"),)
    plan = plan_job(job_file if named else job_file.model_copy(update={"nodes": here}))
    limit = job_file.budget.usd_per_image if max_usd_per_image is None else max_usd_per_image
    verdict = _verdict(plan, made, limit=limit, budget=job_file.budget.usd)
    if say is not None:
        say(verdict.quote)
    if verdict.problem:
        result = _stopped(plan, job, total, made, f"{verdict.problem}; {verdict.quote}")
    else:
        result = run(job_file, on_warnings=on_warnings, change_settings=partial(with_plan, plan=plan))
    return Piloted(result=replace(result, quoted_usd_per_image=verdict.usd_per_image), quoted=bool(verdict.problem))


def _stopped(plan: JobPlan, job: str, total: int, made: Sequence[SubmitResult], message: str) -> SubmitResult:
    """A job that was not begun; the figures are its pilot's."""
    return SubmitResult(
        job=job,
        state=JobState.STOPPED,
        store=plan.store,
        total=total,
        rendered=sum(one.rendered for one in made),
        reused=sum(one.reused for one in made),
        failed=sum(one.failed for one in made),
        seconds=sum(one.seconds for one in made),
        usd=_spent(made),
        spent={},
        report="",
        rendered_now=sum(one.rendered_now for one in made),
        message=message,
        warnings=(),
    )


def _spent(made: Sequence[SubmitResult]) -> Decimal:
    """On the pilot, over all of its jobs."""
    return sum((one.usd for one in made), Decimal(0))


def _name(name: str, number: int) -> str:
    """Of the pilot's job on the n-th type."""
    tail = f"-pilot-{number}"
    return name[: MAX_NAME - len(tail)].rstrip("-") + tail


def _of_pilot(settings: Settings, *, offer: NodeOffer) -> Settings:
    """One node of the type, for a while, and nobody is told."""
    until = datetime.now(UTC) + LONGEST
    deadline = until if settings.deadline is None else min(until, settings.deadline)
    return replace(settings, nodes=(replace(offer, max=1, only_for_deadline=False),), deadline=deadline, notify=())


def _spread(frozen: Frozen, images: int, *, images_per_prompt: int) -> NDArray[np.int64]:
    """Rows spread evenly over the manifest from first to last; of four or more, one with most to compute among them.

    Args:
        frozen: the job.
        images: rows that are wanted; all, where there are fewer.
        images_per_prompt: of the job; the first of each row is meant.
    """
    plan = Plan(frozen.table(), frozen.job.sizes)
    rows, first = np.unique(plan.positions // images_per_prompt, return_index=True)
    if images >= len(rows):
        return rows
    at = np.unique(np.linspace(0, len(rows) - 1, images).round().astype(np.int64))
    sizes = np.array([one.width * one.height * one.steps for one in frozen.job.variants], dtype=np.int64)
    work = sizes[plan.variants_at(first)]
    if len(at) >= 4 and work[at].max() < work.max():
        at[len(at) // 3] = int(work.argmax())
    chosen: NDArray[np.int64] = rows[np.unique(at)]
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """A quote, and why not to go on; empty: go on."""

    quote: str
    """For a person."""
    problem: str = ""
    usd_per_image: Dollars | None = None
    """None: nothing is left to render, or nothing can be priced."""


def _verdict(plan: JobPlan, made: Sequence[SubmitResult], *, limit: Decimal | None, budget: Decimal | None) -> _Verdict:
    """What is left, what it is expected to cost, and whether that is within the limits."""
    spent = _spent(made)
    pilot = f"the pilot made {sum(one.rendered + one.reused for one in made):,} images for {dollars(spent)}"
    if not plan.render:
        return _Verdict(quote=f"{pilot}; nothing is left to render")
    if not plan.rows or not any(one.rendered or one.reused for one in made):
        return _Verdict(quote=pilot, problem="no type of node can be priced; submit it again, or without --pilot")
    each = _together(plan.rows)
    usd = Dollars(middle=each.middle * plan.render, low=each.low * plan.render, high=each.high * plan.render)
    origins = ", ".join(sorted({row.quote.origin for row in plan.rows}))
    quote = (
        f"{pilot}; the other {plan.render:,} are expected at {dollars(each.middle)} an image"
        f" ({dollars(each.low)} to {dollars(each.high)}, {origins}), {dollars(usd.middle)} in all"
        f" ({dollars(usd.low)} to {dollars(usd.high)})"
    )
    problem = ""
    if limit is not None and each.middle > limit:
        problem = f"dearer than {dollars(limit)} an image; submit it again with a higher limit, or without --pilot"
    elif budget is not None and usd.middle + spent > budget:
        problem = f"dearer than the budget of {dollars(budget)}; raise it, or submit it again without --pilot"
    return _Verdict(quote=quote, problem=problem, usd_per_image=each)


def _together(rows: Sequence[PlanRow]) -> Dollars:
    """An image of a job that holds nodes of all these types, each of which renders as many as it is fast."""
    speeds = [Decimal(repr(row.quote.images_per_hour.middle)) for row in rows]

    def mean(amounts: Sequence[Decimal]) -> Decimal:
        weighed = sum((speed * usd for speed, usd in zip(speeds, amounts, strict=True)), Decimal(0))
        return (weighed / sum(speeds)).quantize(_NANO)

    each = [row.quote.usd_per_image for row in rows]
    return Dollars(
        middle=mean([one.middle for one in each]),
        low=mean([one.low for one in each]),
        high=mean([one.high for one in each]),
    )
