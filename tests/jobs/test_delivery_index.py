"""The index of what was handed over: exact for programs, harmless for spreadsheets."""

import csv
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.committed import Wanted
from jobs.delivery.index import Index, without_formula

WANTED = Wanted(
    row=0,
    index=0,
    custom_id="=HYPERLINK(1)",
    image_id="ab",
    prompt='@SUM(1)\n"quoted"',
    seed=3,
    outcome="rendered",
    key="images/ab/ab-1.png",
    sha256="12",
    bytes=9,
    usd=Decimal("0.000000123"),
    tags={"campaign": "autumn"},
)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", " =1", "\t=1", "\r1", "＝1", "\u00a0=1"])
def test_cell_that_looks_like_a_formula_is_quoted(text: str) -> None:
    """Spreadsheets run nothing of it."""
    assert without_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["a=1", "hero", "", "1-2", "ü+"])
def test_other_cells_stay(text: str) -> None:
    """As they are."""
    assert without_formula(text) == text


def test_both_files_tell_the_same_and_parquet_tells_it_exactly(tmp_path: Path) -> None:
    """Money and tags included."""
    with Index(tmp_path) as index:
        index.add(WANTED, "a/b.png", sha256="1234")
    (row,) = pq.read_table(index.parquet).to_pylist()
    assert (row["custom_id"], row["name"], row["usd"]) == (WANTED.custom_id, "a/b.png", WANTED.usd)
    assert dict(row["tags"]) == {"campaign": "autumn"}
    with index.csv.open(encoding="utf-8", newline="") as file:
        (cells,) = csv.DictReader(file)
    assert cells["custom_id"] == "'=HYPERLINK(1)"
    assert cells["prompt"] == '\'@SUM(1)\n"quoted"'
    assert (cells["usd"], cells["tags"]) == ("0.000000123", '{"campaign": "autumn"}')


def test_rows_of_before_go_on_standing_but_for_those_told_anew(tmp_path: Path) -> None:
    """A second subset adds to the first one."""
    with Index(tmp_path) as index:
        for name in ("a.png", "b.png", "gone.png"):
            index.add(WANTED, name, sha256="old")
    earlier = index.parquet.rename(tmp_path / "earlier.parquet")
    with Index(tmp_path, earlier=earlier, still_there=lambda name: name != "gone.png") as index:
        index.add(WANTED, "b.png", sha256="new")
    rows = pq.read_table(index.parquet).to_pylist()
    assert [(row["name"], row["sha256"]) for row in rows] == [("b.png", "new"), ("a.png", "old")]
