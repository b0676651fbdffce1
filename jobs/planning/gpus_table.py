"""The table of GPUs for the terminal, in 80 columns."""

import io
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.planning.gpus import CardOffer, CardRow, Cards
from jobs.terminal_text import printable

_WIDTH = 80


def cards_text(cards: Cards) -> str:
    """A row for each card, and what the figures are."""
    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, highlight=False, markup=False, emoji=False)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    heads = _COSTS if cards.work else _CARDS
    shown.add_column("gpu", no_wrap=True)
    for head in heads:
        left = head in {"at", "origin"}
        shown.add_column(head, justify="left" if left else "right", no_wrap=True)
    for row in cards.rows:
        shown.add_row(printable(row.gpu.name), *(_costs(row) if cards.work else _card(row)))
    console.print(shown)
    for note in _notes(cards):
        console.print(Text(note))
    return "\n".join(line.rstrip() for line in sink.getvalue().strip("\n").splitlines())


_CARDS = ("GB", "GB/s", "fp16", "fp8", "W", "year", "$/h", "spot", "at")
_COSTS = ("images/h", "from - to", "$/image", "origin", "at")


def _card(row: CardRow) -> tuple[str, ...]:
    gpu = row.gpu
    return (
        str(gpu.vram_gb),
        f"{gpu.bandwidth_gb_s:,}",
        f"{gpu.fp16_tflops:,.0f}",
        f"{gpu.fp8_tflops:,.0f}" if gpu.fp8_tflops else "-",
        f"{gpu.tdp_watts:,}",
        str(gpu.year),
        _price(row.on_demand),
        _price(row.spot),
        printable(row.cheapest.provider) if row.cheapest else "-",
    )


def _costs(row: CardRow) -> tuple[str, ...]:
    rate = row.throughput
    where = f"{row.cheapest.node_type}{' spot' if row.cheapest.market == 'spot' else ''}" if row.cheapest else "-"
    if rate is None or not row.fits:
        return ("-", "does not fit" if rate else "cannot", "-", "", printable(where))
    return (
        _count(rate.images_per_hour),
        f"{_count(rate.low * 3600)}-{_count(rate.high * 3600)}",
        _per_image(row.usd_per_image),
        rate.origin,
        printable(where),
    )


def _count(images: float) -> str:
    """Images, in thousands where they are many."""
    return f"{images / 1000:,.0f}k" if images >= 99_950 else f"{images:,.0f}"


def _per_image(usd: Decimal | None) -> str:
    """Dollars with three figures at least."""
    if usd is None:
        return "-"
    return f"{usd:.6f}" if usd >= Decimal("0.0001") else f"{usd:.2e}"


def _price(offer: CardOffer | None) -> str:
    return f"{offer.usd_per_gpu_hour:.2f}" if offer else "-"


def _notes(cards: Cards) -> list[str]:
    """What the columns mean."""
    notes = ["$/h: one GPU for an hour, the cheapest known; --json has source and date."]
    if cards.work is None:
        notes.append("fp16, fp8: dense peak in TFLOPS. --model NAME shows images per hour and $/image.")
        return notes
    work = cards.work
    shape = f"{work.model}, {work.width}x{work.height}, {work.steps} steps, {work.precision}"
    return [
        f"{shape}: {work.teraflops:,.4g} TFLOP an image.",
        "$/image: GPU time alone, in the cheaper market. Nine times in ten the truth",
        "should lie in from - to; --json says on what each figure rests. Where it does",
        "not fit or cannot (no such arithmetic), spotrender fit says what helps.",
    ]
