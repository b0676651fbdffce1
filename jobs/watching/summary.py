"""What is printed when a command is done: a few lines that fit 80 columns, and the commands that come next."""

import os
import shlex
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.terminal_text import dollars, duration, printable, size
from jobs.watching.display import price
from pipeline.job import JobState

if TYPE_CHECKING:
    from jobs.changing import Changed
    from jobs.controlling import Asked
    from jobs.diffing import Difference
    from jobs.planning.estimating import Estimate
    from jobs.submit import SubmitResult, ValidationResult
    from jobs.verify import Verified
    from jobs.watching.status import JobView
    from pipeline.estimates.quote import Dollars

WIDTH = 80

COLLECTED_HINT = "clean-up removed them; the same `spotrender submit` again renders them"


def table(rows: Sequence[tuple[str, str]]) -> str:
    """`label  value` lines; values too long for a line go on below, indented alike."""
    label_width = max(len(label) for label, _ in rows) + 4
    lines = []
    for label, value in rows:
        head = f"  {label}".ljust(label_width)
        for piece in _wrapped(value, WIDTH - label_width):
            lines.append(head + piece)
            head = " " * label_width
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Broken at blanks; a word that is longer than a line stays whole, to be copied."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return lines


def counts(*, total: int, rendered: int, reused: int, failed: int) -> str:
    """`400 of 400: 380 rendered, 20 reused, 0 failed`."""
    there = rendered + reused
    return f"{there:,} of {total:,}: {rendered:,} rendered, {reused:,} reused, {failed:,} failed"


def cost(usd: Decimal, rendered: int) -> str:
    """What was spent, and what that is for each image that was rendered."""
    each = f", {dollars(usd / rendered)} per rendered image" if rendered else ""
    return f"{dollars(usd)}{each}"


def short_store(store: str) -> str:
    """The store as one would type it here: a folder below the current one without the way to it."""
    here = f"{Path.cwd()}{os.sep}"
    return store.removeprefix(here) or store


def next_commands(job: str, store: str, state: JobState) -> list[str]:
    """What one does next with a job in this state."""
    where = f"{job} --store {shlex.quote(short_store(store))}"
    if state is JobState.SUCCEEDED:
        return [f"spotrender download {where} --to images", f"spotrender verify {where}"]
    if state is JobState.COMPLETED_WITH_FAILURES:
        return [f"spotrender retry {where}", f"spotrender download {where} --to images"]
    if state.terminal or state is JobState.PAUSED:
        return [f"spotrender status {where}", f"spotrender resume {where}", "or the same `spotrender submit` again"]
    return [f"spotrender status {where}", f"spotrender wait {where}"]


def next_lines(commands: Sequence[str]) -> str:
    """The next commands, each on its own line, whole."""
    return "\n".join(["next:", *(f"  {command}" for command in commands)])


def view_text(seen: "JobView", store: str) -> str:
    """What `status` and `wait` print."""
    status, job = seen.status, seen.job
    alive = not seen.state.terminal and seen.state is not JobState.PAUSED
    rows = [("state", seen.state.value + (f" ({printable(status.phase)})" if alive and status else ""))]
    if status is not None:
        figures = counts(total=status.total, rendered=status.rendered, reused=status.reused, failed=status.failed)
        rows += [("images", figures), ("cost", cost(status.usd, status.rendered)), ("time", duration(status.seconds))]
        many = len(status.types) > 1 or any(one.planned_usd_per_image for one in status.types)
        rows += [("on type", f"{price(one)}, {one.rendered:,} images") for one in status.types if many]
        if alive:
            rows.append(("speed", f"{status.images_per_second:.2f} images/s" + _eta(status.eta_seconds)))
            rows.append(
                (
                    "workers",
                    f"{status.workers_ready} ready, {status.workers_starting} starting, {status.workers_lost} lost",
                )
            )
        if seen.driver:
            rows.append(("driver", printable(seen.driver)))
        rows.append(("updated", status.updated_at))
    else:
        rows.append(("images", f"0 of {job.images:,}"))
    rows.append(("manifest", printable(job.manifest)))
    if seen.settings and seen.settings.owner:
        rows.append(("owner", printable(seen.settings.owner)))
    if seen.settings and seen.settings.tags:
        tags = ", ".join(f"{name}={text}" for name, text in sorted(seen.settings.tags.items()))
        rows.append(("tags", printable(tags)))
    rows += [("note", printable(remark)) for remark in (status.remarks if status else ())]
    if seen.message:
        rows.append(("message", printable(seen.message)))
    return "\n".join([job.id, table(rows), next_lines(next_commands(job.id, store, seen.state))])


def _eta(seconds: float | None) -> str:
    """The time that is left, where it is known."""
    return "" if seconds is None else f", done in {duration(seconds)}"


def list_text(views: Sequence["JobView"], store: str) -> str:
    """What `list` prints: a line a job, the newest first."""
    if not views:
        return f"no jobs in {printable(short_store(store))}"
    width = max(len(seen.job.id) for seen in views)
    return "\n".join(_list_line(seen, width) for seen in views)


def _list_line(seen: "JobView", width: int) -> str:
    """One job: id, state, images, money, day."""
    status = seen.status
    there, total = (status.rendered + status.reused, status.total) if status else (0, seen.job.images)
    spent = dollars(status.usd if status else Decimal(0))
    state = "SILENT" if seen.silent_since else seen.state.value
    day = seen.job.submitted_at.strftime("%Y-%m-%d %H:%M")
    owner = f"  {printable(seen.settings.owner, most=24)}" if seen.settings and seen.settings.owner else ""
    return f"{seen.job.id:<{width}}  {state:<9}  {there:,}/{total:,}  {spent}  {day}{owner}"


def submitted_text(result: "SubmitResult", costs: Sequence[tuple[str, str]]) -> str:
    """What `submit` prints when it is done; `costs` is the report's short form."""
    figures = counts(total=result.total, rendered=result.rendered, reused=result.reused, failed=result.failed)
    rows = [
        ("state", result.state.value),
        ("images", figures),
        ("time", duration(result.seconds)),
        *((printable(label, most=24), printable(value)) for label, value in costs),
        ("store", printable(short_store(result.store))),
    ]
    if result.report:
        rows.append(("report", printable(f"{short_store(result.store).rstrip('/')}/{result.report}")))
    if result.quoted_usd_per_image is not None and result.rendered:
        rows.append(("quoted", _beside_quote(result.quoted_usd_per_image, result.usd / result.rendered)))
    rows += [("note", printable(remark)) for remark in result.remarks]
    if result.message:
        rows.append(("message", printable(result.message)))
    return "\n".join([result.job, table(rows), next_lines(next_commands(result.job, result.store, result.state))])


def _beside_quote(quoted: "Dollars", took: Decimal) -> str:
    """What an image was expected to cost, and what it did."""
    expected = f"{dollars(quoted.middle)} an image ({dollars(quoted.low)} to {dollars(quoted.high)})"
    error = f", {took / quoted.middle - 1:+.0%}" if quoted.middle else ""
    return f"{expected}; it took {dollars(took)}{error}"


def quoted_text(result: "SubmitResult") -> str:
    """What `submit --pilot` prints when it does not go on."""
    figures = counts(total=result.total, rendered=result.rendered, reused=result.reused, failed=result.failed)
    rows = [
        ("state", f"{result.state.value} before it began"),
        ("images", f"{figures}, by its pilot"),
        ("message", printable(result.message)),
        ("store", printable(short_store(result.store))),
    ]
    return "\n".join([result.job, table(rows)])


def asked_text(asked: "Asked", store: str) -> str:
    """What `pause`, `cancel` and `resume` print."""
    rows = [("order", asked.order), ("state", asked.state.value), ("driver", printable(asked.driver) or "none")]
    commands = [f"spotrender wait {asked.job} --store {shlex.quote(short_store(store))}"] if asked.driver else []
    text = "\n".join([asked.job, table([*rows, ("message", printable(asked.message))])])
    return f"{text}\n{next_lines(commands)}" if commands else text


def changed_text(changed: "Changed") -> str:
    """What `set` prints."""
    from jobs.changing import describe

    rows = [("settings", str(changed.number)), *describe(changed.settings), ("driver", changed.driver or "none")]
    return "\n".join(
        [changed.job, table([(name, printable(text)) for name, text in [*rows, ("message", changed.message)]])]
    )


def validated_text(found: "ValidationResult") -> str:
    """What `validate` prints when nothing is wrong."""
    from jobs.shown_requests import requests_text

    again = found.images - found.distinct
    repeats = f", {again:,} of them the same as others (rendered once)" if again else ""
    rows = [
        ("rows", f"{found.rows:,}"),
        ("images", f"{found.images:,}{repeats}"),
        ("tasks", f"{found.tasks:,}"),
    ]
    if found.estimate is not None:
        rows += [("to render", f"{found.estimate.images:,}"), ("cost", estimate_text(found.estimate))]
    text = "\n".join([f"{found.job}: nothing to mend", table(rows)])
    return f"{text}\n{requests_text(found.requests)}" if found.requests else text


def difference_text(found: "Difference") -> str:
    """What `diff` prints."""
    from jobs.shown_requests import requests_text

    rows = [
        ("old", f"{found.old}, {found.old_images:,} images"),
        ("new", f"{found.new}, {found.new_images:,} images"),
        ("kept", f"{found.kept:,}"),
        ("added", f"{found.added:,}"),
        ("dropped", f"{found.dropped:,}"),
        ("to render", f"{found.estimate.images:,}; {found.there:,} of the new one are in the store already"),
        ("cost", estimate_text(found.estimate)),
    ]
    text = table(rows)
    return f"{text}\n{requests_text(found.requests)}" if found.requests else text


def estimate_text(found: "Estimate") -> str:
    """What is to be rendered would cost, as far as that is known."""
    if found.usd is None:
        return "unknown: this store has no figures of such images yet"
    rest = f"; and {found.unknown:,} images that it has no figures of" if found.unknown else ""
    each = (
        f", {dollars(found.usd_per_image)} an image by what such images have cost here" if found.usd_per_image else ""
    )
    return f"{dollars(found.usd)}{each}{rest}"


def verified_text(result: "Verified", store: str, *, voided: Sequence[str]) -> str:
    """What `verify` prints."""
    rest = result.total - result.checked - result.failed
    rows = [("checked", f"{result.checked:,} images, {size(result.bytes)}"), ("bad", f"{len(result.findings):,}")]
    if result.failed:
        rows.append(("failed", f"{result.failed:,} images were given up, so there is nothing to look at"))
    if rest > 0:
        rows.append(("not yet", f"{rest:,} images are not rendered yet"))
    if result.collected:
        rows.append(("collected", f"{result.collected:,} images; {COLLECTED_HINT}"))
    lines = [result.job, table(rows)]
    lines += [f"  {finding.problem} {finding.key}: {printable(finding.message)}" for finding in result.findings]
    where = f"{result.job} --store {shlex.quote(short_store(store))}"
    if voided:
        records = f"{len(voided):,} record{'' if len(voided) == 1 else 's'}"
        lines.append(f"took {records} back; the same `spotrender submit` again renders their images")
    elif result.findings:
        lines.append(next_lines([f"spotrender verify {where} --repair"]))
    return "\n".join(lines)
