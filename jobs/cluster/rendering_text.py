"""What a cluster would be and cost, for the terminal, in 80 columns."""

import io
import textwrap

from rich import box
from rich.console import Console
from rich.table import Table

from jobs.cluster.rendering import Rendered
from jobs.terminal_text import dollars, printable

_WIDTH = 80


def rendered_text(found: Rendered) -> str:
    """The cost first, then what would be there, then what to do."""
    lines = [
        f"{printable(found.job)} on {printable(found.target)}: at most {dollars(found.most_usd_per_hour)} an hour",
        _table(found),
    ]
    sources = dict.fromkeys(line.price_source for line in found.lines)
    lines += _listed("prices:", tuple(sources))
    lines += _listed("creates:", found.creates)
    if found.folder:
        lines += _listed("wrote:", tuple(f"{found.folder}/{name}" for name in found.files))
        lines += ["next:", *(f"  {printable(line)}" for line in found.next)]
    else:
        text = f"nothing is written; --to FOLDER writes {', '.join(map(printable, found.files))}"
        lines += [textwrap.fill(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)]
    return "\n".join(lines)


def _table(found: Rendered) -> str:
    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, highlight=False, markup=False, emoji=False)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("nodes", overflow="fold")
    shown.add_column("market", no_wrap=True)
    for head in ("at most", "$/h each", "$/h"):
        shown.add_column(head, justify="right", no_wrap=True)
    for line in found.lines:
        market = line.market.replace("_", " ")
        each, most = f"{line.usd_per_hour:.4f}", f"{line.most_usd_per_hour:.4f}"
        shown.add_row(printable(line.name, most=40), market, str(line.count), each, most)
    console.print(shown)
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines() if line.strip())


def _listed(head: str, entries: tuple[str, ...]) -> list[str]:
    """A heading and its entries, folded; nothing where there are none."""
    folded = [textwrap.fill(printable(one), _WIDTH, initial_indent="  ", subsequent_indent="    ") for one in entries]
    return [head, *folded] if folded else []
