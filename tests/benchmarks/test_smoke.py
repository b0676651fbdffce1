"""The benchmarks that need no Ray run in tiny sizes, and the results file keeps one section for each."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.results import Surroundings, keep, to_markdown


@pytest.mark.parametrize("name", ["validate", "png", "nightly", "report", "plan", "weights"])
def test_benchmark_runs(name: str, tmp_path: Path) -> None:
    """Every figure has a sample for its only round."""
    section: Section = import_module(f"tests.benchmarks.bench_{name}").run(tmp_path, Scale(quick=True))
    assert all(len(figure.ours) == 1 for figure in section.figures)


def test_ratio_is_the_median_of_the_rounds() -> None:
    """A round in which the whole machine was slow changes nothing."""
    figure = Figure(
        name="x",
        unit="images/s",
        ours=(10, 1, 12),
        baseline=(20, 2, 20),
        baseline_name="loop",
        limit=0.5,
        at_least=True,
    )
    assert (figure.value, figure.met) == (0.5, True)


def test_results_keep_the_last_version_of_each_section_in_order(tmp_path: Path) -> None:
    """A run of one benchmark leaves the others' figures alone."""
    path = tmp_path / "RESULTS.md"
    here = Surroundings(machine="this", day="2026-11-21", busy=0.1)
    for key, seconds in (("d", 3.0), ("a", 1.0), ("d", 2.0)):
        figure = Figure(name="took", unit="s", ours=(seconds,), limit=2, at_least=False)
        section = Section(key=key, title=f"Title {key}", method="How.", figures=(figure,))
        keep(path, key, to_markdown(section, here))
    text = path.read_text(encoding="utf-8")
    assert text.index("## a. Title a") < text.index("## d. Title d")
    assert "2.00 s" in text
    assert "3.00 s" not in text
