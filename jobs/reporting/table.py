"""A report for the terminal: 80 columns, colour only where it is shown, text of others shown and never obeyed."""

import io
import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.reporting.lines import count, headline, known, lost_usd, name_of, share, title, waste
from jobs.reporting.report import MadeReport
from jobs.terminal_text import dollars, duration, printable
from pipeline.ledger.schema import CATEGORIES
from pipeline.reports.figures import Group, Report

_GAP = 2
"""Columns between two columns of a table."""

_STYLES = {"waste": "yellow", "advice": "yellow", "note": "magenta"}


def as_table(made: MadeReport) -> bytes:
    """The whole report."""
    report, sink = made.report, io.StringIO()
    console = Console(
        file=sink,
        width=made.width,
        force_terminal=made.colour,
        no_color=not made.colour,
        color_system="standard" if made.colour else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print(_text(title(report), "bold cyan"))
    _print_pairs(console, headline(report))
    if report.usd:
        console.print(_spent_on(report))
    if report.by == "cause":
        _print_groups(console, "node type", report.by_node_type)
    else:
        label = "node type" if report.by == "node_type" else report.by
        _print_groups(console, label, report.by_node_type if report.by == "node_type" else report.groups)
    if report.groups_left_out:
        console.print(_text(f"(others): {report.groups_left_out:,} more, added up"))
    if report.failures:
        console.print(_failures(report))
    _print_pairs(console, waste(report))
    _print_pairs(console, [("note", note) for note in report.notes])
    text = "\n".join(line.rstrip() for line in sink.getvalue().splitlines())
    return re.sub(r"\n{3,}", "\n\n", text).encode() + b"\n"


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _table(*columns: str) -> Table:
    """A table whose first column is text and may wrap, the others figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, _GAP - 1, 0, 0), header_style="bold")
    table.add_column(_text(columns[0]), overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print_pairs(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """`label  value` lines, values wrapped under themselves."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, min_width=10)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(Text(f"  {label}", style=_STYLES.get(label, "")), _text(value))
    if rows:
        console.print(grid)


def _spent_on(report: Report) -> Table:
    """Dollars, share and GPU time of each category, and what no node session holds."""
    total = report.total
    table = _table("spent on", "dollars", "share", "GPU time")
    for category in CATEGORIES:
        usd, time = total.categories[category], total.nanoseconds[category]
        if usd or time:
            table.add_row(category.replace("_", " "), dollars(usd), share(usd, report.usd), duration(time / 1e9))
        if category == "startup" and time and total.startup_parts and total.startup_nanoseconds:
            for part, part_usd in total.startup_parts.items():
                seconds = total.startup_nanoseconds[part] / 1e9
                if not seconds:
                    continue
                table.add_row(f"  {part}", dollars(part_usd), share(part_usd, report.usd), duration(seconds))
    table.add_row("overhead", dollars(report.overhead_usd), share(report.overhead_usd, report.usd), "")
    return table


def _print_groups(console: Console, label: str, groups: Sequence[Group]) -> None:
    """Two tables, since one would not fit: what was made, and what the money went into."""
    if not groups:
        return
    made, went = list[tuple[str, ...]](), list[tuple[str, ...]]()
    for group in groups:
        name = printable(name_of(group))
        busy = "-" if group.utilisation is None else f"{group.utilisation * 100:.0f} %"
        hours = f"{group.gpu_hours:,.2f}"
        pace, each = count(group.images_per_hour), known(group.usd_per_image)
        made.append((name, f"{group.nodes:,}", f"{group.reclaimed:,}", hours, f"{group.rendered:,}", pace, each, busy))
        parts = (group.categories["startup"], lost_usd(group), group.categories["idle"])
        went.append((name, dollars(group.usd), *(f"{dollars(usd)} {share(usd, group.usd, 0):>5}" for usd in parts)))
    _print_named(console, (label, "nodes", "reclaims", "GPU h", "images", "img/h", "$/image", "busy"), made)
    _print_named(console, (label, "dollars", "startup", "lost", "idle"), went)


def _print_named(console: Console, headings: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """A table whose names are broken where they have joints, in the width that the figures leave."""
    figures = sum(_GAP + max(map(len, column)) for column in list(zip(headings, *rows, strict=True))[1:])
    table = _table(*headings)
    for name, *cells in rows:
        table.add_row(Text("\n".join(broken(name, console.width - figures - 2))), *cells)
    console.print(table)


def broken(name: str, width: int) -> list[str]:
    """A name in lines of at most so many columns, if its parts are no longer: broken at blanks, else after `_-./`."""
    lines = [""]
    for word in re.findall(r"\S+\s*|\s+", name):
        whole = cell_len(word.rstrip()) <= width
        for part in [word] if whole else re.findall(r"[^_./-]*[_./-]|[^_./-]+", word):
            if lines[-1] and cell_len(lines[-1] + part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    return [line.rstrip() for line in lines]


def _failures(report: Report) -> Table:
    """Each cause with its cost."""
    table = _table("failures", "images", "dollars", "share")
    for failure in report.failures:
        images = f"{failure.images:,}" if failure.images else "-"
        table.add_row(_text(failure.cause), images, dollars(failure.usd), share(failure.usd, report.usd))
    return table
