"""Puts the page together. Every text of others is escaped by the template; the scripts are our own and Vega's."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import jinja2

from jobs.reporting.lines import count, gpus, known, lost_usd, share, storage, title
from jobs.reporting.page.charts import COLOURS, MOST_SESSIONS, charts, type_colours
from jobs.reporting.page.gallery import Shown, gallery
from jobs.reporting.page.scripts import as_data, library, policy, shipped
from jobs.reporting.report import MadeReport
from jobs.terminal_text import dollars, printable
from pipeline.errors import SpotrenderError
from pipeline.job import JobState
from pipeline.reports.figures import Group, Report
from pipeline.reports.gpu_usage import overall
from pipeline.status import Status, read_status

_LONGEST_PROMPT = 600
_GOOD = {JobState.SUCCEEDED}
_BAD = {JobState.STOPPED, JobState.CANCELED, JobState.COMPLETED_WITH_FAILURES}


def as_html(made: MadeReport) -> bytes:
    """The page of a report."""
    status = _status(made) if len(made.report.jobs) == 1 else None
    return page(made.report, gallery(made.ledger, made.store), status)


def page(report: Report, images: Sequence[Shown], status: Status | None = None) -> bytes:
    """The page, UTF-8.

    Args:
        report: with its time line.
        images: for the gallery.
        status: of its only job, where that is known.
    """
    css, script, vega = shipped("page.css"), shipped("page.js"), library()
    drawn = charts(report)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(shipped_template())
    text = template.render(
        title=printable(title(report)),
        state=_state(status),
        when=_when(report, status),
        figures=_figures(report),
        advice=_advice(report),
        types=_types(report),
        categories=_categories(report),
        charts=drawn,
        sessions=_sessions(report),
        failures=[
            {"cause": printable(one.cause), "images": f"{one.images:,}", "usd": dollars(one.usd)}
            for one in report.failures
        ],
        gallery=[_image(image) for image in images],
        images=f"{report.total.rendered + report.total.reused:,}",
        notes=[printable(note) for note in (*report.notes, *(f"left out: {file}" for file in report.skipped))],
        policy=policy(vega, script, style=css),
        css=css,
        script=script,
        library=vega,
        data=as_data(drawn),
    )
    return text.encode()


def shipped_template() -> str:
    """The template of the page."""
    from importlib.resources import files

    return files("jobs.reporting.page").joinpath("page.html").read_text(encoding="utf-8")


def _status(made: MadeReport) -> Status | None:
    """How the job stands; the ledger may outlive what says so."""
    try:
        return read_status(made.store, made.report.jobs[0])
    except (SpotrenderError, ValueError):
        return None


def _state(status: Status | None) -> Mapping[str, str] | None:
    if status is None:
        return None
    tone = "good" if status.state in _GOOD else "bad" if status.state in _BAD else ""
    return {"name": status.state.value, "tone": tone, "message": printable(status.message)}


def _when(report: Report, status: Status | None) -> str:
    days = [slot.started_at for slot in report.over_time]
    parts = [f"{min(days):%Y-%m-%d %H:%M} UTC"] if days else []
    if status is not None:
        there = status.rendered + status.reused
        parts.append(f"{there:,} of {status.total:,} images there")
    if report.last_heartbeat_at:
        parts.append(f"running nodes counted up to {report.last_heartbeat_at:%Y-%m-%d %H:%M:%S} UTC")
    return ", ".join(parts)


def _figures(report: Report) -> list[dict[str, str]]:
    total = report.total
    apart = [
        f"{number:,} {name}"
        for number, name in ((total.reused, "reused"), (total.failed, "failed"), (total.duplicates, "duplicate"))
        if number
    ]
    overhead = f", {dollars(report.overhead_usd)} of it overhead" if report.overhead_usd else ""
    figures = [
        ("images rendered", f"{total.rendered:,}", ", ".join(apart)),
        ("spent", dollars(report.usd), f"billable {dollars(total.billable_usd)}{overhead}"),
        ("per image", known(report.usd_per_image), f"GPU time alone {known(total.gpu_usd_per_image)}"),
    ]
    if report.images_per_usd is not None:
        figures.append(
            ("per dollar", f"{report.images_per_usd:,.{0 if report.images_per_usd >= 10 else 2}f}", "images")
        )
    if total.utilisation is not None:
        lost = lost_usd(total)
        figures.append(
            (
                "busy",
                share(total.utilisation, Decimal(1), 0),
                f"rendering, of all GPU time; lost {share(lost, total.usd)}",
            )
        )
    if (against := report.saved).on_demand_usd > 0:
        part = share(abs(against.saved_usd), against.on_demand_usd, 0)
        instead = f"{dollars(against.usd)} instead of {dollars(against.on_demand_usd)} on demand"
        value = dollars(max(against.saved_usd, Decimal(0)))
        figures.append(("saved", value, f"{part} {'less' if against.saved_usd >= 0 else 'more'}: {instead}"))
    if rows := gpus(report):
        busy, _, _ = overall(report.gpu_usages)
        figures.append(("GPUs busy", "-" if busy is None else f"{busy * 100:.0f} %", rows[0][1]))
    if report.storage is not None and (rows := storage(report)):
        figures.append(("storage", dollars(report.storage.requests_usd), "; ".join(value for _, value in rows)))
    return [{"label": label, "value": value, "more": printable(more)} for label, value, more in figures]


def _advice(report: Report) -> Mapping[str, str] | None:
    if report.advice is None:
        return None
    line = f"{dollars(report.advice.saved_usd)} could be saved of {report.advice.line.replace('_', ' ')}."
    return {"line": line, "text": printable(report.advice.text)}


def _categories(report: Report) -> list[dict[str, str]]:
    """For the legend: those that cost something, dearest first."""
    total = report.total
    spent = sorted(((usd, name) for name, usd in total.categories.items() if usd), reverse=True)
    return [
        {
            "name": name.replace("_", " "),
            "usd": dollars(usd),
            "share": share(usd, total.usd),
            "colour": COLOURS[name],
        }
        for usd, name in spent
    ]


def _types(report: Report) -> list[dict[str, Any]]:
    colours = type_colours(report)
    return [_type(group, colours[group.name]) for group in report.by_node_type]


def _type(group: Group, colour: str) -> dict[str, Any]:
    amounts = (group.categories["rendering"], group.categories["startup"], lost_usd(group), group.categories["idle"])
    return {
        "name": group.name,
        "colour": colour,
        "nodes": f"{group.nodes:,}",
        "hours": f"{group.gpu_hours:,.2f}",
        "images": f"{group.rendered:,}",
        "pace": count(group.images_per_hour),
        "per_image": known(group.usd_per_image),
        "usd": dollars(group.usd),
        "reclaimed": f"{group.reclaimed:,}",
        "parts": [{"share": share(usd, group.usd, 0), "usd": dollars(usd)} for usd in amounts],
    }


def _sessions(report: Report) -> str:
    """How many of the node sessions are drawn."""
    drawn = min(len(report.sessions), MOST_SESSIONS)
    everyone = len(report.sessions) + report.sessions_left_out
    return (
        f"the {drawn:,} dearest of {everyone:,} sessions"
        if drawn < everyone
        else f"{everyone:,} session{'' if everyone == 1 else 's'}"
    )


def _image(image: Shown) -> dict[str, Any]:
    node = " ".join(part for part in (image.type, image.zone) if part)
    session = image.node_session if len(image.node_session) <= 20 else f"{image.node_session[:17]}..."
    return {
        "picture": image.picture,
        "width": image.width,
        "height": image.height,
        "prompt": printable(image.prompt, most=_LONGEST_PROMPT),
        "seed": image.seed,
        "cost": "reused, no cost" if image.reused else dollars(image.usd),
        "type": image.type,
        "node": "made by an earlier job" if image.reused else printable(f"{node}, {session}"),
    }
