"""Other ways to have a job made, for the terminal, in 80 columns."""

import io
import textwrap
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.table import Table

from jobs.planning.alternatives import Alternative, Alternatives
from jobs.terminal_text import dollars, printable
from pipeline.estimates.quote import Dollars

_WIDTH = 80
_WAYS = {
    "plan": "> the plan",
    "on_demand": "  on demand",
    "serverless": "  by the second",
    "api": "  by the image",
    "own_card": "  a card bought",
}


def alternatives_text(found: Alternatives) -> str:
    """A row for each way, the cheapest first, and on what the figures rest."""
    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, highlight=False, markup=False, emoji=False)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("  way", no_wrap=True)
    shown.add_column("", no_wrap=True, max_width=21)
    for head in ("$/image", "job $"):
        shown.add_column(head, justify="right", no_wrap=True)
    shown.add_column("wins, images a month", no_wrap=True)
    planned = any(row.way == "plan" for row in found.rows)
    for row in found.rows:
        shown.add_row(
            _WAYS[row.way],
            printable(row.name, most=21),
            f"{row.usd_per_image.middle:.6f}" if row.usd_per_image.middle < 1 else f"{row.usd_per_image.middle:.4f}",
            _range(row.usd),
            _wins(row) if planned else "-",
        )
    console.print(shown)
    table = [line.rstrip() for line in sink.getvalue().strip("\n").splitlines()]
    return "\n".join([*filter(None, table), "", *_notes(found)])


def _range(usd: Dollars) -> str:
    """From - to, short."""
    digits = 2 if usd.high < 100 else 0
    return f"{_short(usd.low, digits)}-{_short(usd.high, digits)}"


def _short(usd: Decimal, digits: int) -> str:
    return f"{usd / 1000:,.0f}k" if usd >= 99_950 else f"{usd:,.{digits}f}"


def _wins(row: Alternative) -> str:
    """When it costs less than the plan."""
    if row.way == "plan":
        return ""
    if row.wins is None:
        return "never"
    least, most = row.wins.least, row.wins.most
    if least == 1:
        return "always" if most is None else f"up to {_count(most)}"
    return f"from {_count(least)}" + ("" if most is None else f" to {_count(most)}")


def _count(images: int) -> str:
    """Images, short."""
    if images >= 9_999_500:
        return f"{images / 1e6:,.0f}M" if images < 10**12 else f"{images:.1e}"
    return f"{images / 1000:,.0f}k" if images >= 99_950 else f"{images:,}"


def _notes(found: Alternatives) -> list[str]:
    """What the figures hold."""
    lines = [
        "wins: costs less than the plan (>), with one such job a month. A card bought is",
        f"written off in {found.written_off_months} months, the card alone and without the machine around it;",
        f"electricity at ${found.usd_per_kwh} a kWh. --json has the source of each price.",
    ]
    for row in found.rows:
        if row.way == "own_card":
            after = "never" if row.break_even_hours is None else f"after {row.break_even_hours:,.0f} hours of rendering"
            each = dollars(row.monthly.usd_per_image)
            lines += [f"{printable(row.name)}: {each} of electricity an image;", f"  pays for itself {after}"]
    if found.left_out:
        names = ", ".join(printable(one.node_type) for one in found.left_out)
        lines += textwrap.wrap(f"not compared, as it cannot be rendered there: {names}", _WIDTH, subsequent_indent="  ")
    return lines
