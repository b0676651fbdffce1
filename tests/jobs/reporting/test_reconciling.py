"""`spotrender report --reconcile` and `--format focus`, as a user calls them."""

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from infra.stores.local import LocalStore
from jobs.cli import run
from pipeline.ledger.buckets import instant, nanoseconds
from tests.jobs.made_job import NOW
from tests.pipeline.reports.made_bill import Line, cur, focus, write
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger
from tests.pipeline.reports.test_focus import problems

LIVES = (
    Life(name="a", node_id="i-0a", batches=[Batch(seconds=3568)]),
    Life(name="b", node_id="i-0b", batches=[Batch(fate="lost")], ends="reclaimed"),
    Life(name="own", provider="static", node_type="local", market="local", batches=[Batch()]),
)
"""An hour at 36 cents, forty seconds that end in a reclaim, and a machine of one's own."""


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A local store whose ledger has one job."""
    make_ledger(LocalStore(str(tmp_path / "store")), LIVES)
    return str(tmp_path / "store")


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    """A bill of that month: one instance half a cent dearer, the other not charged, and somebody else's."""
    starts = instant(nanoseconds(NOW))
    lines = [
        Line(resource="i-0a", usd="0.365", starts=starts, ends=starts + timedelta(hours=1)),
        Line(resource="i-0zz", usd="99", starts=starts, ends=starts + timedelta(hours=1)),
    ]
    return write(cur(lines), tmp_path / "cur.csv.gz")


def test_bill_is_shown_beside_the_ledger(place: str, bill: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Totals, reasons and instances, in 80 columns."""
    assert run(["report", "--store", place, "--reconcile", str(bill)]) == 0
    told = capsys.readouterr().out
    assert max(len(line) for line in told.splitlines()) <= 80
    assert "AWS CUR 2.0, 2 rows" in told
    assert "2 instances, 1 of them not in the bill" in told
    assert "+$0.00500  another price than the ledger's" in told
    assert "free first hour of a reclaimed instance" in told
    assert "1 machine that no cloud bills" in told
    assert "i-0zz" not in told


def test_json_holds_every_figure_as_exact_text(place: str, bill: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts read the same, with nine places."""
    assert run(["report", "--store", place, "--reconcile", str(bill), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["billed_usd"] == "0.365000000"
    by_id = {one["node_id"]: one for one in told["instances"]}
    assert by_id["i-0a"]["difference_usd"] == "0.005000000"
    assert by_id["i-0b"]["billed_usd"] is None
    amounts = [Decimal(one["difference_usd"]) for one in told["instances"]]
    assert sum(amounts) == Decimal(told["difference_usd"])


def test_focus_file_agrees_with_itself(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our own cost file, taken for the bill, differs by nothing."""
    own = tmp_path / "own.parquet"
    assert run(["report", "--store", place, "--format", "focus-parquet", "--output", str(own)]) == 0
    assert problems(pq.read_table(own)) == []
    assert run(["report", "--store", place, "--reconcile", str(own), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["difference_usd"], told["missing"], told["parts"]) == ("0.000000000", 0, [])


def test_focus_csv_is_printed(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cost is the ledger's accrued spend."""
    assert run(["report", "--store", place, "--json"]) == 0
    spent = Decimal(json.loads(capsys.readouterr().out)["accrued_usd"])
    assert run(["report", "--store", place, "--format", "focus"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out, newline="")))
    assert sum(Decimal(row["x_accrued_usd"]) for row in rows) == spent


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--reconcile", "none.csv"], "none.csv: there is no such file; give a bill"),
        (["--reconcile", "BILL", "--format", "csv"], "--format must be one of table, json, got 'csv'"),
        (["--reconcile", "EUROS"], "is in 'EUR', the ledger is in US dollars; export the bill in USD"),
    ],
)
def test_what_cannot_be_compared_ends_with_2(
    place: str, bill: Path, tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One error with the remedy, and nothing on stdout."""
    euros = write(focus([Line(resource="i-0a", usd="1", currency="EUR")]), tmp_path / "euros.parquet")
    named = {"BILL": str(bill), "EUROS": str(euros)}
    assert run(["report", "--store", place, *(named.get(text, text) for text in options)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
