"""Run the benchmarks one after another: `python -m tests.benchmarks [--only a,c] [--rounds N] [--quick]`.

Each `bench_<name>.py` has `run(folder, scale) -> Section`. Sections are printed and kept in RESULTS.md, but for quick
runs, whose figures mean nothing. The exit code is 1 when a target was missed or a benchmark failed.
"""

import argparse
import sys
import tempfile
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.benchmarks.figures import Scale, Section
from tests.benchmarks.results import Surroundings, keep, to_markdown

RESULTS = Path(__file__).with_name("RESULTS.md")

BENCHMARKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "a": "overlap",
        "b": "demo_model",
        "c": "control_plane",
        "d": "validate",
        "e": "resume",
        "f": "png",
        "g": "reclaims",
        "h": "report",
        "i": "ledger",
        "j": "gpu",
        "k": "plan",
        "n": "nightly",
        "q": "download",
        "r": "weights",
    }
)
"""Letter -> name, in the order in which they run."""

NEEDS_GPU: Final = ("j",)
"""Run only when they are named."""


def main() -> int:
    """Run all benchmarks, or the ones named."""
    listed = ", ".join(f"{letter} {name}" for letter, name in BENCHMARKS.items())
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measure; see RESULTS.md.")
    parser.add_argument(
        "--only",
        default=",".join(letter for letter in BENCHMARKS if letter not in NEEDS_GPU),
        help=f"letters, with commas between: {listed}",
    )
    parser.add_argument("--rounds", type=int, help="how often everything is measured, in turns")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs; keeps no results")
    options = parser.parse_args()
    letters = options.only.split(",")
    if unknown := set(letters) - set(BENCHMARKS):
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {listed}")
    scale = Scale(rounds=options.rounds, quick=options.quick)
    missed = [letter for letter in letters if not _run(letter, scale)]
    if missed:
        print(f"== bench: targets missed or not measured: {', '.join(missed)}")
    return 1 if missed else 0


def _run(letter: str, scale: Scale) -> bool:
    """Run one benchmark; whether it met its targets, or, of a quick one, whether it ran."""
    name = BENCHMARKS[letter]
    print(f"== bench: {name}", flush=True)
    surroundings = Surroundings.look()
    try:
        with tempfile.TemporaryDirectory(prefix="sr-bench-") as folder:
            section: Section = import_module(f"tests.benchmarks.bench_{name}").run(Path(folder), scale)
    except Exception:  # noqa: BLE001 - the other benchmarks are worth their figures all the same
        traceback.print_exc()
        return False
    text = to_markdown(section, surroundings)
    print(text, flush=True)
    if not scale.quick:
        keep(RESULTS, letter, text)
    return scale.quick or all(figure.met for figure in section.figures)


if __name__ == "__main__":
    sys.exit(main())
