"""A cloud's bill is read exactly, whatever it is packed in; what is no bill ends in one clear error."""

import csv
import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import BillError
from pipeline.reports.bill import Bill, read_bill
from pipeline.reports.bill_files import bill_paths
from pipeline.reports.focus import focus_csv, focus_parquet, focus_table
from tests.pipeline.reports.made_bill import DECEMBER, NOVEMBER, Line, cur, focus, write
from tests.pipeline.reports.node_rows import node_row

LINES = (
    Line(resource="i-0aa", usd="0.1000000001", hours="0.5"),
    Line(resource="i-0aa", usd="2.0E-7", hours="0.25"),
    Line(resource="i-0aa", usd="0.09", hours="1", usage="USE1-DataTransfer-Out-Bytes", unit="GB"),
    Line(resource="i-0aa", usd="-0.01", kind="Credit"),
    Line(resource="i-0aa", usd="0.007", kind="Tax"),
    Line(resource="i-0bb", usd="7"),
    Line(resource="vol-0aa", usd="9"),
)


def read(path: Path, *instances: str) -> Bill:
    """What the bill says of some instances."""
    return read_bill(bill_paths(path), instances or ("i-0aa",))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz", ".parquet.gz"])
@pytest.mark.parametrize("make", [cur, focus])
def test_bill_is_read_to_the_last_digit(
    make: Callable[[tuple[Line, ...]], pa.Table], suffix: str, tmp_path: Path
) -> None:
    """Doubles become the decimals that the cloud printed; hours, traffic, credits and tax are told apart."""
    bill = read(write(make(LINES), tmp_path / f"bill{suffix}"))
    assert list(bill.instances) == ["i-0aa"]
    billed = bill.instances["i-0aa"]
    assert billed.usage_usd == Decimal("0.1000002001")
    assert (billed.other_usd, billed.adjustments_usd, billed.tax_usd) == (
        Decimal("0.09"),
        Decimal("-0.01"),
        Decimal("0.007"),
    )
    assert (billed.hours, billed.rows) == (Decimal("0.75"), 5)
    assert (bill.starts_at, bill.ends_at, bill.rows) == (NOVEMBER, DECEMBER, len(LINES))


def test_older_cur_is_read_too(tmp_path: Path) -> None:
    """Its columns are those of CUR 2.0 under other names."""
    table = cur(LINES)
    names = {
        "bill": "bill",
        "line_item": "lineItem",
        "pricing": "pricing",
        "identity": "identity",
        "product": "product",
    }

    def older(name: str) -> str:
        group = next(group for group in names if name.startswith(f"{group}_"))
        return f"{names[group]}/{name.removeprefix(f'{group}_').title().replace('_', '')}"

    path = write(table.rename_columns([older(name) for name in table.column_names]), tmp_path / "old.csv.gz")
    assert read(path).instances["i-0aa"].usd == Decimal("0.1870002001")


def test_folder_of_an_export_is_one_bill(tmp_path: Path) -> None:
    """A data export is delivered in several files."""
    (tmp_path / "data").mkdir()
    for number, line in enumerate(LINES):
        write(cur([line]), tmp_path / "data" / f"part-{number}.parquet")
    (tmp_path / "manifest.json").write_text("{}")
    assert read(tmp_path).instances["i-0aa"].rows == 5


def test_our_own_focus_file_is_a_bill(tmp_path: Path) -> None:
    """What we export can be read back: one row for each category of the session."""
    table = focus_table([node_row("aa", nanoseconds={"rendering": 1, "idle": 2}, nano_usd={"idle": 3})], account="x")
    for name, body in (("own.parquet", focus_parquet(table)), ("own.csv", focus_csv(table))):
        (tmp_path / name).write_bytes(body)
        assert read(tmp_path / name).instances["i-0aa"].usd == Decimal("3E-9")


def test_byte_order_mark_and_line_breaks_in_fields_are_fine(tmp_path: Path) -> None:
    """Files that went through a spreadsheet are still bills."""
    path = write(focus(LINES), tmp_path / "bill.csv")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    for row in rows[1:]:
        row[2] = "an account\nof two lines"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(rows)
    assert read(path).instances["i-0aa"].rows == 5


def test_bill_without_rows_is_a_bill(tmp_path: Path) -> None:
    """Nothing was billed, and nothing is known of the time that it covers."""
    for suffix in (".parquet", ".csv"):
        bill = read(write(cur([]), tmp_path / f"none{suffix}"))
        assert (bill.rows, bill.starts_at, bill.instances) == (0, None, {})


def test_cores_and_memory_billed_apart_give_no_hours(tmp_path: Path) -> None:
    """Seconds of 8 cores are not 8 machines; the money counts all the same."""
    parts = [
        Line(resource="i-0aa", usd="1", hours="3600", unit="seconds", usage=""),
        Line(resource="i-0aa", usd="2", hours="99", unit="gibibyte seconds", usage=""),
        Line(resource="i-0aa", usd="4", hours="9", unit="gibibyte", usage=""),
    ]
    billed = read(write(focus(parts), tmp_path / "gcp.parquet")).instances["i-0aa"]
    assert (billed.usage_usd, billed.other_usd) == (Decimal(3), Decimal(4))
    assert billed.hours is None


def without(table: pa.Table, *names: str) -> pa.Table:
    """A bill that lacks columns."""
    return table.drop_columns(list(names))


def changed(table: pa.Table, name: str, value: str) -> pa.Table:
    """A bill whose first row has another text in one column."""
    texts = [str(one) for one in table[name].to_pylist()]
    return table.set_column(table.schema.get_field_index(name), name, pa.array([value, *texts[1:]]))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pa.table({"a": [1], "b": [2]}), "has no column of an AWS CUR 2.0 or FOCUS export"),
        (without(cur(LINES), "line_item_resource_id"), "no line_item_resource_id; turn on resource ids"),
        (without(focus(LINES), "BilledCost"), "looks like FOCUS, but has no BilledCost; export these columns too"),
        (cur([Line(resource="i-0aa", usd="1", currency="EUR")]), "is in 'EUR', the ledger is in US dollars"),
        (
            changed(cur(LINES), "line_item_unblended_cost", "NaN"),
            "line_item_unblended_cost must be a number, got 'NaN'",
        ),
        (changed(cur(LINES), "line_item_unblended_cost", "1e999999999"), "must be a number, got '1e999999999'"),
        (changed(cur(LINES), "line_item_unblended_cost", "9" * 99), "must be a number"),
        (changed(cur(LINES), "line_item_usage_amount", "an hour"), "line_item_usage_amount must be a number"),
        (changed(focus(LINES), "BillingPeriodStart", "November"), "BillingPeriodStart must be an instant"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_cannot_be_compared_is_refused(table: pa.Table, said: str, suffix: str, tmp_path: Path) -> None:
    """The message names the file, what is wrong, and what to do."""
    path = write(table, tmp_path / f"bill{suffix}")
    with pytest.raises(BillError) as refused:
        read(path)
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz", ".parquet.gz"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_truncated_file_is_refused(suffix: str, share: float, tmp_path: Path) -> None:
    """A download that broke off is no smaller bill."""
    path = write(cur(LINES * 50), tmp_path / f"bill{suffix}")
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * share)])
    with pytest.raises(BillError, match=r"cannot be read to its end .* download it again|is neither Parquet nor CSV"):
        read(path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty"),
        (bytes(range(256)) * 9, "is neither Parquet nor CSV"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"PAR1 and then nothing", "cannot be read to its end"),
        (b"\xff\xfe,\xff\n", "cannot be read to its end"),
        (b'"an open quote,', "has no column of"),
        (b"line_item_resource_id" * 99_999, "is neither Parquet nor CSV"),
    ],
)
def test_what_is_no_bill_is_refused(body: bytes, said: str, tmp_path: Path) -> None:
    """Any bytes at all end in one message."""
    (tmp_path / "bill").write_bytes(body)
    with pytest.raises(BillError, match=said):
        read(tmp_path / "bill")


def test_row_that_breaks_off_is_refused(tmp_path: Path) -> None:
    """A CSV file that ends in the middle of a row was not downloaded whole."""
    path = write(cur(LINES), tmp_path / "bill.csv")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BillError, match="cannot be read to its end"):
        read(path)


def test_missing_file_and_empty_folder_are_refused(tmp_path: Path) -> None:
    """What is not there is said before anything else happens."""
    with pytest.raises(BillError, match="there is no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(BillError, match=r"holds no \.parquet"):
        read(tmp_path)


def test_files_of_two_kinds_are_refused(tmp_path: Path) -> None:
    """The same hours in two formats would be counted twice."""
    write(cur(LINES), tmp_path / "a.parquet")
    write(focus(LINES), tmp_path / "b.parquet")
    with pytest.raises(BillError, match="is FOCUS, the file before it AWS CUR"):
        read(tmp_path)
