"""A plan for the terminal, in 80 columns."""

import io
import textwrap
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.table import Table

from jobs.planning.alternatives_table import alternatives_text
from jobs.planning.plan_rows import PlanRow
from jobs.planning.planning import JobPlan
from jobs.terminal_text import dollars, printable
from pipeline.estimates.quote import Dollars, Figure

_WIDTH = 80
_FROM = {"measured": "ledger", "pilot": "pilot", "published": "claims", "estimated": "peak"}
"""What a figure comes from, in a word."""


def plan_text(plan: JobPlan) -> str:
    """A row for each type of node, cheapest first; then what to take, and what is not in the figures."""
    lines = [f"{plan.job}", f"  {plan.images:,} images, {_there(plan)}"]
    if not plan.render:
        return "\n".join([*lines, "nothing to render: a submit would cost nothing"])
    if plan.rows:
        counts = {row.nodes for row in plan.rows}
        lines += [f"  on {_nodes(counts.pop())} of a type"] if len(counts) == 1 else []
        lines += ["", _table(plan)]
    lines += ["", *_verdict(plan)]
    if plan.rows:
        lines += ["", *_beside(plan)]
    if plan.alternatives is not None:
        lines += ["", alternatives_text(plan.alternatives)]
    if plan.unquoted:
        lines += ["", "not in the table:", *_unquoted(plan)]
    return "\n".join(lines)


def _unquoted(plan: JobPlan) -> list[str]:
    """Each reason once, with the types that it holds for."""
    types: dict[str, list[str]] = {}
    for one in plan.unquoted:
        types.setdefault(one.why, []).append(_type(one.node_type, one.market))
    lines = []
    for why, names in types.items():
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        lines += [f"  {', '.join(names[:4])}{more}:", *_wrapped(printable(why), indent="    ")]
    return lines


def _wrapped(text: str, *, indent: str, first: str | None = None) -> list[str]:
    """A sentence in lines of the terminal; words, such as paths, are never broken."""
    return textwrap.wrap(
        text,
        width=_WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _there(plan: JobPlan) -> str:
    """What is left to do."""
    return f"{plan.there:,} of them there already, {plan.render:,} to render"


def _table(plan: JobPlan) -> str:
    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, highlight=False, markup=False, emoji=False)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("  node type", no_wrap=True)
    for head in ("$/h", "fits", "images/h", "$/image", "job $", "hours"):
        shown.add_column(head, justify="right", no_wrap=True)
    shown.add_column("from", no_wrap=True)
    alike = len({row.nodes for row in plan.rows}) == 1
    for row in plan.rows:
        quote = row.quote
        shown.add_row(
            f"{'>' if row == plan.chosen else ' '} {_type(row.node_type, row.market) if alike else _name(row)}",
            f"{row.usd_per_hour:.2f}" if row.usd_per_hour < 100 else f"{row.usd_per_hour:.1f}",
            "-" if row.batch is None else str(row.batch),
            _count(quote.images_per_hour.middle),
            _usd_per_image(quote.usd_per_image),
            _range(quote.usd),
            _hours(quote.hours),
            _FROM[quote.origin],
        )
    console.print(shown)
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines() if line.strip())


def _nodes(count: int) -> str:
    return f"{count:,} node" + ("" if count == 1 else "s")


def _name(row: PlanRow) -> str:
    return (f"{row.nodes}x " if row.nodes > 1 else "") + _type(row.node_type, row.market)


def _type(node_type: str, market: str) -> str:
    """As short as it can be told: on demand is what is not said to be spot."""
    return printable(node_type) + (" spot" if market == "spot" else "")


def _count(images: float) -> str:
    if images >= 9_999_500:
        return f"{images / 1e6:,.0f}M"
    return f"{images / 1000:,.0f}k" if images >= 99_950 else f"{images:,.0f}" if images >= 10 else f"{images:.2g}"


def _usd_per_image(usd: Dollars) -> str:
    return f"{usd.middle:.6f}" if usd.middle < 1 else f"{usd.middle:.4f}"


def _range(usd: Dollars) -> str:
    """From - to, with as many digits as tell them apart; what is less than a cent is told in `$/image`."""
    if usd.high < Decimal("0.01"):
        return "<0.01"
    digits = 2 if usd.high < 10 else 1 if usd.high < 100 else 0
    return f"{usd.low:,.{digits}f}-{usd.high:,.{digits}f}"


def _hours(hours: Figure) -> str:
    return (
        f"{hours.middle:,.0f}"
        if hours.middle >= 100
        else f"{hours.middle:.1f}"
        if hours.middle >= 1
        else f"{hours.middle:.2f}"
    )


def _told(row: PlanRow) -> str:
    """A row as a part of a sentence."""
    return f"{_name(row)} ({dollars(row.quote.usd.middle)}, {_hours(row.quote.hours)} h)"


def _verdict(plan: JobPlan) -> list[str]:
    """The line that matters."""
    if plan.cheapest is None or plan.fastest is None:
        return ["no type of node can be priced; see below"]
    words = [f"cheapest: {_told(plan.cheapest)}", f"fastest: {_told(plan.fastest)}"]
    if plan.deadline is not None:
        made = _told(plan.in_time) if plan.in_time else "none of them; take more nodes, or a later deadline"
        words.append(f"cheapest that makes the deadline: {made}")
    lines = [f"{word}," for word in words[:-1]] + [words[-1]]
    if plan.budget_usd is not None and plan.chosen is not None and plan.chosen.quote.usd.high > plan.budget_usd:
        most = dollars(plan.chosen.quote.usd.high)
        lines.append(f"the budget of {dollars(plan.budget_usd)} may not do: up to {most} with the chosen one")
    return lines


def _beside(plan: JobPlan) -> list[str]:
    """What the figures hold and what they do not."""
    lines = []
    if plan.chosen is not None:
        quote = plan.chosen.quote
        lines += [
            *_wrapped(f"> is chosen. Its figures rest on: {plan.chosen.basis}", indent="  ", first=""),
            f"  of its dollars: start {dollars(quote.startup_usd)}, waiting at the end {dollars(quote.idle_usd)},",
            f"  batches cut short {dollars(quote.lost_usd)}, with {quote.reclaims:.2g} reclaims expected",
        ]
    if plan.storage.source:
        cost = plan.storage
        lines += [
            f"  the store, beside: ${cost.requests_usd:,.2f} of requests, ${cost.usd_per_month:,.2f} a month,",
            f"  ${cost.egress_usd:,.2f} for one download out of its region",
        ]
    lines += [
        "fits: images of the largest batch. From: this ledger, others' claims scaled by",
        "arithmetic, or the card's peak; --json says on which.",
        "job $, hours: launch to last image, with start, reclaims and tail; nine times",
        "in ten the truth should lie between.",
    ]
    return lines
