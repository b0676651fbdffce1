"""A comparison for the terminal: a row for each profile, in 80 columns."""

import io
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.comparing.compare import Comparison, ProfileFigures
from jobs.comparing.picture_difference import SAME_DECIBELS
from jobs.terminal_text import printable

_WIDTH = 80


def compared_text(found: Comparison, sheet: Path | None) -> str:
    """The figures, what was in force, and where the pictures are."""
    sink = io.StringIO()
    console = Console(file=sink, width=_WIDTH, highlight=False, markup=False, emoji=False)
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    shown.add_column("profile")
    for column in ("images", "images/s", "$/image", "memory", "PSNR", "worst", "SSIM"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row in found.profiles:
        shown.add_row(row.profile, *_figures(row))
    console.print(shown)
    for row in found.profiles:
        console.print(Text(f"{row.profile}: {', '.join(row.levers) or 'no lever in force'}{_use(row)}"))
    console.print(Text(f"PSNR (dB) and SSIM are to {found.profiles[0].profile}; $/image is GPU time alone."))
    where = f"side by side: {printable(str(sheet))}" if sheet else "--output FILE.html shows the images side by side"
    console.print(Text(where))
    return "\n".join(line.rstrip() for line in sink.getvalue().strip("\n").splitlines())


def _use(row: ProfileFigures) -> str:
    """How busy the GPU was, where that is known."""
    busy = "" if row.gpu_busy is None else f"; the GPU was busy {row.gpu_busy:.0%} of the time"
    return busy if row.gpu_watts is None else f"{busy}; it drew {row.gpu_watts:.0f} W"


def _figures(row: ProfileFigures) -> tuple[str, ...]:
    """The cells of one profile."""
    return (
        f"{row.images:,}" + (f" (-{row.failed})" if row.failed else ""),
        "-" if row.images_per_second is None else f"{row.images_per_second:.3g}",
        "-" if row.usd_per_image is None else f"{row.usd_per_image:.6f}",
        f"{row.memory_bytes / 2**30:.2f} GiB" if row.memory_bytes else "-",
        _decibels(row.psnr),
        _decibels(row.worst_psnr),
        "-" if row.ssim is None else f"{row.ssim:.3f}",
    )


def _decibels(value: float | None) -> str:
    """Of a difference; `same` where there is none."""
    return "-" if value is None else "same" if value >= SAME_DECIBELS else f"{value:.1f}"
