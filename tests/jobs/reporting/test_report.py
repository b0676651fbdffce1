"""`spotrender report`: every format says the same, shows hostile text as text, and names what it could not read."""

import csv
import io
import json
import os
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from jobs.cli import run
from jobs.reporting.formats import FORMATS, for_reader, rendered
from jobs.reporting.report import parse_since, reported, resolve_jobs, short_report
from jobs.reporting.rows import COLUMNS
from jobs.reporting.table import broken
from pipeline.errors import JobFileError
from pipeline.layout import ledger_images_key, ledger_nodes_key
from tests.jobs.made_job import make_job
from tests.pipeline.reports.made_ledger import Batch, Life, day, make_ledger
from tests.pipeline.reports.test_making import LIVES

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "a|b",
    "two\nlines",
    "\x1b[2Jx",
    'say "no", please',
    "[red]x[/red] [link](javascript:x) `code`",
    "@SUM(1)",
    "Ümläut 画 \u202eback",
)
"""Tags that mean something to a spreadsheet, a browser, a table, a terminal."""


@pytest.fixture
def place(tmp_path: Path) -> str:
    """A local store with two jobs in its ledger."""
    store = LocalStore(str(tmp_path / "store"))
    make_ledger(store, LIVES, reused=5)
    make_ledger(store, [Life(name="d", batches=[Batch()])], name="second", submitted_at=day(14))
    return str(tmp_path / "store")


@pytest.fixture
def hostile() -> MemoryStore:
    """A ledger whose tags are out to get its reader."""
    store = MemoryStore()
    make_ledger(store, [Life(name="h", batches=[Batch(tags={"it's": text}) for text in HOSTILE])])
    return store


def shown(store: MemoryStore, format_name: str, by: str = "tag:it's") -> bytes:
    """The report of the whole store in one format."""
    with reported(store, by=by) as made:
        return rendered(made, format_name)


def test_table_fits_80_columns_and_is_plain_when_piped(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is longer, no colour is there, and the headline says what an image cost."""
    assert run(["report", "--store", place]) == 0
    told = capsys.readouterr()
    assert max(len(line) for line in told.out.splitlines()) <= 80
    assert "\x1b" not in told.out
    assert "15" in told.out
    assert "fully loaded" in told.out
    assert "advice" in told.out
    assert "  boot " in told.out
    assert "compile" not in told.out
    assert told.err == ""


def test_long_names_and_large_figures_fit_80_columns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Names are broken at their joints; no figure is cut."""
    store = LocalStore(str(tmp_path / "store"))
    names = ("Standard_NC96ads_A100_v4", "my-office-4090-workstation", "q" * 90)
    batches = [Batch(images=2500, seconds=3_000_000)]
    price = Decimal("98.32")
    make_ledger(
        store, [Life(name=name, node_type=name, zone="", usd_per_hour=price, batches=batches) for name in names]
    )
    assert run(["report", "--store", store.uri]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\u2026" not in text
    assert "Standard_NC96ads_" in text
    assert text.count("$81,9") == 3
    assert "".join(re.findall(r"^ (q+)", text, re.MULTILINE)) == "q" * 180


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("g6e.xlarge spot", ["g6e.xlarge", "spot"]),
        ("local", ["local"]),
        ("Standard_NC96ads_A100_v4", ["Standard_", "NC96ads_", "A100_v4"]),
        ("", [""]),
    ],
)
def test_names_are_broken_at_blanks_and_joints(name: str, lines: list[str]) -> None:
    """Into ten columns."""
    assert broken(name, 10) == lines


def test_table_has_colour_only_where_it_is_asked_for(hostile: MemoryStore) -> None:
    """The same words, with and without; and never a control character of somebody else's."""
    controller, terminal = os.openpty()
    with reported(hostile, by="tag:it's") as made, os.fdopen(terminal, "w") as stream:
        plain = rendered(for_reader(made, io.StringIO(), {}), "table").decode()
        coloured = rendered(for_reader(made, stream, {}), "table").decode()
        grey = rendered(for_reader(made, stream, {"NO_COLOR": "1"}), "table").decode()
        listed = rendered(for_reader(made, stream, {}), "csv").decode()
    os.close(controller)
    assert "\x1b[1m" in coloured
    assert "\x1b[2J" not in coloured
    assert "\x1b" not in plain + grey + listed


@pytest.mark.parametrize("format_name", ["table", "markdown", "csv"])
def test_hostile_tags_are_shown_as_text(hostile: MemoryStore, format_name: str) -> None:
    """No terminal, browser or spreadsheet finds an order in them."""
    text = shown(hostile, format_name).decode()
    assert "\x1b" not in text or format_name == "csv"
    if format_name == "markdown":
        assert "<script" not in text
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert {line.count("|") for line in tables if "dollars" not in line} <= {4, 12}
    if format_name == "table":
        assert max(len(line) for line in text.splitlines()) <= 80


def test_csv_cells_begin_with_no_formula_and_are_read_back_whole(hostile: MemoryStore) -> None:
    """Quotes and newlines survive; a leading `=` or `@` is text to a spreadsheet."""
    rows = list(csv.DictReader(io.StringIO(shown(hostile, "csv").decode(), newline="")))
    names = {row["name"] for row in rows}
    assert not [cell for row in rows for cell in row.values() if cell[:1] in {"=", "@", "\t", "\r", "+"}]
    assert {name.removeprefix("'") for name in names} == set(HOSTILE)
    assert sum(Decimal(row["usd"]) for row in rows) == Decimal(json.loads(shown(hostile, "json"))["usd"])


def test_parquet_and_json_carry_exact_money(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Decimals in Parquet, text in JSON; both add up to the same."""
    target = tmp_path / "costs.parquet"
    assert run(["report", "--store", place, "--format", "parquet", "--output", str(target)]) == 0
    table = pq.read_table(target)
    assert table.schema.equals(COLUMNS)
    assert run(["report", "--store", place, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert sum(table["usd"].to_pylist()) == Decimal(document["usd"])
    assert sum(Decimal(group["usd"]) for group in document["groups"]) == Decimal(document["usd"])
    assert (document["images"]["rendered"], document["images"]["reused"]) == (19, 5)


@pytest.mark.parametrize("by", ["node_type", "model", "day"])
def test_rows_add_up_to_all_spend_with_the_overhead(by: str) -> None:
    """It is in no group, so it has a row of its own."""
    store = MemoryStore()
    make_ledger(store, LIVES, beside={"overhead": {"usd": "0.012", "source": "somebody"}})
    rows = list(csv.DictReader(io.StringIO(shown(store, "csv", by).decode(), newline="")))
    assert (rows[-1]["name"], rows[-1]["usd"], rows[-1]["nodes"]) == ("(overhead)", "0.012000000", "")
    assert sum(Decimal(row["usd"]) for row in rows) == Decimal(json.loads(shown(store, "json", by))["usd"])
    table = pq.read_table(io.BytesIO(shown(store, "parquet", by)))
    assert sum(table["usd"].to_pylist()) == sum(Decimal(row["usd"]) for row in rows)
    assert re.search(r"overhead +\$0.0120 +\d+.\d %", shown(store, "table", by).decode())


def test_every_money_column_is_a_decimal() -> None:
    """Of the rows that a report gives out."""
    assert {field.type for field in COLUMNS if field.name.endswith("_usd")} == {pa.decimal128(38, 9)}
    assert not [field for field in COLUMNS if pa.types.is_floating(field.type)]


def test_jobs_are_found_by_id_name_and_beginning(place: str) -> None:
    """Also when only the ledger knows them any more."""
    store = LocalStore(place)
    (job,) = resolve_jobs(store, ["second"])
    store.delete(f"jobs/{job}/job.json")
    assert resolve_jobs(store, [job]) == resolve_jobs(store, ["second"]) == resolve_jobs(store, ["seco"]) == (job,)
    assert resolve_jobs(store, []) == ()


def test_unknown_job_is_refused_with_the_nearest(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 2."""
    assert run(["report", "secnod", "--store", place]) == 2
    told = capsys.readouterr()
    assert "near are second-" in told.err
    assert told.out == ""


def test_since_takes_whole_days_of_submit(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Older jobs are not read at all."""
    assert run(["report", "--store", place, "--since", "2026-11-20", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [job.rpartition("-")[0] for job in document["jobs"]] == ["demo"]
    assert document["images"]["rendered"] == 15


@pytest.mark.parametrize(
    ("text", "day_meant"),
    [("7d", "2026-11-14"), ("12h", "2026-11-20"), ("2w", "2026-11-07"), ("2026-01-02", "2026-01-02")],
)
def test_since_is_an_age_or_a_day(text: str, day_meant: str) -> None:
    """In UTC."""
    assert parse_since(text, now=datetime(2026, 11, 21, 7, tzinfo=UTC)) == date.fromisoformat(day_meant)


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "yesterday", "2026-13-01", "99999999d"])
def test_since_that_is_neither_is_refused(text: str) -> None:
    """With what it may be."""
    with pytest.raises(JobFileError, match="must be such as 7d"):
        parse_since(text, now=datetime(2026, 11, 21, 7, tzinfo=UTC))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--by", "colour"], "--by: must be one of node_type"),
        (["--by", "tag:"], "tag:NAME"),
        (["--format", "jsn"], 'did you mean "json"'),
        (["--since", "soon"], "--since: must be such as 7d"),
        (["--output", "/nowhere/at/all.txt"], "there is no folder"),
    ],
)
def test_bad_options_end_with_2(place: str, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    """One clear error."""
    assert run(["report", "--store", place, *options]) == 2
    assert said in capsys.readouterr().err


def test_damaged_files_are_named_and_skipped(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Truncated, of another version, not Parquet at all: a warning each, and a non-zero exit under --strict."""
    store = LocalStore(place)
    (job,) = resolve_jobs(store, ["second"])
    whole = store.get(ledger_images_key("2026-11-14", job, "000000"))
    store.put(ledger_images_key("2026-11-14", job, "000000"), whole[: len(whole) // 2])
    later = pq.read_table(io.BytesIO(store.get(ledger_nodes_key("2026-11-14", job, "000000"))))
    sink = io.BytesIO()
    pq.write_table(later.replace_schema_metadata({b"spotrender": b'{"schema": 99}'}), sink)
    store.put(ledger_nodes_key("2026-11-14", job, "000000"), sink.getvalue())
    store.put(ledger_nodes_key("2026-11-14", job, "000001"), b"no parquet")
    assert run(["report", "--store", place, "--json"]) == 0
    told = capsys.readouterr()
    assert told.err.count("warning: left out: ledger/") == 3
    assert "ledger schema 99, this version reads 1" in told.err
    document = json.loads(told.out)
    assert (document["images"]["rendered"], len(document["skipped"])) == (15, 3)
    assert run(["report", "--store", place, "--strict"]) == 3


def test_file_damaged_inside_is_found_when_it_is_read(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole footer over broken pages."""
    store = LocalStore(place)
    (job,) = resolve_jobs(store, ["second"])
    key = ledger_images_key("2026-11-14", job, "000000")
    body = bytearray(store.get(key))
    footer = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    body[4:footer] = b"\xff" * (footer - 4)
    store.put(key, bytes(body))
    assert run(["report", "--store", place, "--json"]) == 0
    told = capsys.readouterr()
    assert f"left out: {key}: damaged" in told.err
    assert json.loads(told.out)["images"]["rendered"] == 15


def test_empty_store_and_jobs_without_images_are_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nothing, a job before its first node, and one that only reused images."""
    assert run(["report", "--store", str(tmp_path / "none")]) == 0
    assert "no jobs in this ledger" in capsys.readouterr().out
    store = LocalStore(str(tmp_path / "store"))
    make_job(store, name="waiting")
    assert run(["report", "waiting", "--store", store.uri]) == 0
    assert "0 rendered" in capsys.readouterr().out
    make_ledger(store, [], name="again", reused=7)
    for format_name in FORMATS:
        target = tmp_path / format_name
        command = ["report", "again", "--store", store.uri, "--by", "job", "--format", format_name]
        assert run([*command, "--output", str(target)]) == 0
        assert target.read_bytes()
    assert json.loads((tmp_path / "json").read_bytes())["images"]["reused"] == 7


def test_short_form_says_what_an_image_cost(place: str) -> None:
    """For the end of a submit."""
    lines = dict(short_report(place, resolve_jobs(LocalStore(place), ["demo"])[0]))
    assert {"cost", "per image", "spent on", "g6.xlarge spot", "advice"} <= set(lines)
    assert short_report(place, "none-0123456789abcdef") == [("cost", "$0.00")]
