"""Problems are counted without end and kept without growing."""

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest.problems import SHOWN, Problems, shown


def test_the_first_twenty_by_line_are_shown_and_all_are_counted() -> None:
    """Whatever the order in which problems are found, the lowest lines are shown."""
    problems = Problems("p.csv")
    for line in range(500, 0, -1):
        problems.add(line, "bad")
    with pytest.raises(ManifestError) as caught:
        problems.raise_any()
    assert caught.value.count == 500
    assert list(caught.value.problems) == [f"p.csv:{line}: bad" for line in range(1, SHOWN + 1)]
    assert str(caught.value).endswith("... and 480 more problems")


def test_a_problem_of_the_whole_file_comes_first() -> None:
    """A problem without a line stands before those with one."""
    problems = Problems("p.parquet", unit="row ")
    problems.add(3, "late")
    problems.add(None, "early")
    assert problems.messages() == ("p.parquet: early", "p.parquet:row 3: late")


def test_no_problem_raises_nothing() -> None:
    """An empty collection passes."""
    Problems("p.csv").raise_any()


def test_a_file_name_cannot_command_the_terminal() -> None:
    """Escape sequences in the manifest's own name are written out."""
    problems = Problems("a\x1b[2J.csv")
    problems.add(1, "bad")
    assert problems.messages() == (r"a\x1b[2J.csv:1: bad",)


def test_a_long_value_is_shortened() -> None:
    """A message repeats at most sixty characters of a value."""
    assert shown("x" * 1000) == '"' + "x" * 57 + '..."'
    assert shown("\u202egnp") == r'"\u202egnp"'
