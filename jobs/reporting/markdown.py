"""A report as Markdown, for a pull request or a wiki: names of others are text, whatever they hold."""

import re
from collections.abc import Sequence

from jobs.reporting.lines import count, headline, known, lost_usd, name_of, share, title, waste
from jobs.reporting.report import MadeReport
from jobs.terminal_text import dollars, printable
from pipeline.ledger.schema import CATEGORIES
from pipeline.reports.figures import Group

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@:])")


def as_markdown(made: MadeReport) -> bytes:
    """Headline, categories, groups and failures as tables."""
    report = made.report
    parts = [
        f"## {escaped(title(report))}",
        "\n".join(
            f"- {escaped(label)}: {escaped(value)}" if label else f"- {escaped(value)}"
            for label, value in headline(report)
        ),
    ]
    if report.usd:
        total = report.total
        lines = [*((name, total.categories[name]) for name in CATEGORIES), ("overhead", report.overhead_usd)]
        spent = [
            (name.replace("_", " "), dollars(usd), share(usd, report.usd))
            for name, usd in lines
            if usd or name == "overhead"
        ]
        parts.append(_table(("spent on", "dollars", "share"), spent))
    if report.groups:
        parts.append(_table(_HEADINGS, [_cells(group) for group in report.groups], first=report.by))
    if report.failures:
        rows = [(one.cause, f"{one.images:,}" if one.images else "-", dollars(one.usd)) for one in report.failures]
        parts.append(_table(("failures", "images", "dollars"), rows))
    said = [*waste(report), *(("note", note) for note in report.notes)]
    if said:
        parts.append("\n".join(f"- {escaped(label)}: {escaped(value)}" for label, value in said))
    return ("\n\n".join(parts) + "\n").encode()


_HEADINGS = (
    "",
    "nodes",
    "reclaimed",
    "GPU hours",
    "images",
    "images/hour",
    "$/image",
    "dollars",
    "startup",
    "lost",
    "idle",
)


def escaped(text: str) -> str:
    """Text that Markdown and the HTML in it show as it is, on one line."""
    return _SPECIAL.sub(
        lambda found: f"&#{ord(found[1])};" if found[1] in "<>|&@:" else f"\\{found[1]}", printable(text)
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, first: str = "") -> str:
    lines = [[first or headings[0], *headings[1:]], *rows]
    shown = ["| " + " | ".join(escaped(cell) for cell in line) + " |" for line in lines]
    shown.insert(1, "|" + "|".join([" --- ", *([" ---: "] * (len(headings) - 1))]) + "|")
    return "\n".join(shown)


def _cells(group: Group) -> tuple[str, ...]:
    def part(usd: object) -> str:
        return f"{dollars(usd)} ({share(usd, group.usd)})"  # type: ignore[arg-type]

    return (
        name_of(group),
        f"{group.nodes:,}",
        f"{group.reclaimed:,}",
        f"{group.gpu_hours:,.2f}",
        f"{group.rendered:,}",
        count(group.images_per_hour),
        known(group.usd_per_image),
        dollars(group.usd),
        part(group.categories["startup"]),
        part(lost_usd(group)),
        part(group.categories["idle"]),
    )
