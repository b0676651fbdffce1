"""A section as a Markdown table, printed and kept in RESULTS.md with the machine, the date and how busy it was."""

import os
import platform
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.figures import Figure, Section, spread

INTRODUCTION = """# Results

Written by `make bench`: medians over rounds in which ours and the baseline take turns, with the range in brackets.
A ratio is ours over the baseline, the median of the rounds' own ratios.
"""

_HEADINGS = ("measured", "ours", "baseline", "ratio", "target", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where and when a benchmark ran."""

    machine: str
    day: str
    busy: float
    """Share of all cores that other programs used just before, 0 to 1."""

    @classmethod
    def look(cls, seconds: float = 2.0) -> "Surroundings":
        """Watch the machine for a while in which the benchmark does nothing."""
        idle, total = _idle_and_total()
        time.sleep(seconds)
        idle_then, total_then = _idle_and_total()
        cores = len(os.sched_getaffinity(0))
        machine = f"{cores} cores of {_processor()}, {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}"
        return cls(
            machine=f"{machine}, Python {platform.python_version()}",
            day=datetime.now(UTC).date().isoformat(),
            busy=1 - (idle_then - idle) / max(1, total_then - total),
        )

    def line(self) -> str:
        """One line for the section."""
        return f"_{self.day}, {self.machine}; before it began, other programs used {self.busy:.0%} of the cores._"


def to_markdown(section: Section, surroundings: Surroundings) -> str:
    """The whole section."""
    rows = [_HEADINGS, *(_cells(figure) for figure in section.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    parts = [f"## {section.key}. {section.title}", section.method, "\n".join(lines)]
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    return "\n\n".join([*parts, surroundings.line()]) + "\n"


def keep(path: Path, key: str, text: str) -> None:
    """Put a section into the file, in the place of its last version; sections stand in the order of their letters."""
    body = path.read_text(encoding="utf-8") if path.exists() else ""
    sections = {found[3]: found for found in re.split(r"^(?=## )", body, flags=re.MULTILINE) if found.startswith("## ")}
    sections[key] = text
    ordered = [sections[letter].rstrip() + "\n" for letter in sorted(sections)]
    path.write_text("\n".join([INTRODUCTION, *ordered]), encoding="utf-8")


def _cells(figure: Figure) -> tuple[str, ...]:
    bound = "at least" if figure.at_least else "at most"
    baseline = f"{figure.baseline_name}: {spread(figure.baseline)} {figure.unit}" if figure.baseline else "-"
    return (
        figure.name,
        f"{spread(figure.ours)} {figure.unit}",
        baseline,
        spread(figure.ratios) if figure.baseline else "-",
        f"{bound} {figure.limit:g}" + ("" if figure.baseline else f" {figure.unit}"),
        "met" if figure.met else "MISSED",
    )


def _idle_and_total() -> tuple[int, int]:
    """Ticks of all cores since boot: idle (waiting for the disk included), and all."""
    ticks = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
