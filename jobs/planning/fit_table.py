"""What a model needs and where it fits, for the terminal, in 80 columns."""

import io

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.planning.fit import Fit
from jobs.terminal_text import printable
from pipeline.estimates.fitting import CardFit
from pipeline.estimates.memory import LARGEST_BATCH

_WIDTH = 80


def fit_text(found: Fit) -> str:
    """What takes the memory, then a row for each card, then what would help those that are too small."""
    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, highlight=False, markup=False, emoji=False)
    shape = found.shape
    levers = [one for one in (shape.quantization, shape.memory) if one not in {"none", "fit"}]
    how = ", ".join([shape.precision, *levers])
    console.print(Text(f"{printable(found.model)}, {shape.width}x{shape.height}, batch {shape.batch}, {how}"))
    for name, size in found.need.items():
        if size:
            console.print(Text(f"  {name:<14}{_gib(size):>10}"))
    console.print(Text(f"  {'peak':<14}{_gib(found.total_bytes):>10}"))
    console.print(Text(found.counted))
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    shown.add_column("gpu", no_wrap=True)
    for head in ("GB", "usable", "fits", "free", "largest batch", "limit"):
        shown.add_column(head, justify="left" if head in {"fits", "limit"} else "right", no_wrap=True)
    for card in found.cards:
        shown.add_row(*_row(card))
    console.print(shown)
    for card in found.cards:
        if not card.fits:
            console.print(Text(f"{card.gpu.name}: {card.why_not}; {_ways(card)}"))
    console.print(Text(f"usable: what torch sees of the card, less {found.headroom:.0%}; batches are powers of two."))
    return "\n".join(line.rstrip() for line in sink.getvalue().strip("\n").splitlines())


def _row(card: CardFit) -> tuple[str, ...]:
    free = card.usable_bytes - card.needs_bytes
    return (
        printable(card.gpu.name),
        str(card.gpu.vram_gb),
        _gib(card.usable_bytes),
        "yes" if card.fits else "no",
        _gib(free) if free >= 0 else "-",
        _batch(card.largest_batch),
        card.limit,
    )


def _batch(largest: int) -> str:
    """Batches are not tried without end."""
    return f"{largest} or more" if largest >= LARGEST_BATCH else str(largest or "-")


def _ways(card: CardFit) -> str:
    """What would make it fit."""
    if not card.alternatives:
        return "nothing in the catalogue takes it"
    ways = [f"{one.what} ({_gib(one.needs_bytes)}, batch up to {_batch(one.batch)})" for one in card.alternatives]
    return "fits with " + ", ".join(ways)


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"
