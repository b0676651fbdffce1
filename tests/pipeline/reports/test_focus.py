"""The FOCUS cost file: valid by the definitions of FOCUS 1.2, and its sums are the ledger's."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.schema import CATEGORIES
from pipeline.reports.focus import focus_csv, focus_parquet, focus_table
from tests.pipeline.reports.node_rows import START, node_row

DEFINITIONS: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("focus_1_2.yaml").read_text())

_TYPES = {"string": pa.types.is_string, "decimal": pa.types.is_decimal, "datetime": pa.types.is_timestamp}
_UNIT = re.compile(r"(\d+ )?[A-Z][A-Za-z]*(-[A-Z][A-Za-z]*)?")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

ACCOUNT = "s3://acme/renders"


def problems(table: pa.Table) -> list[str]:
    """What is wrong with a cost file of usage charges by the definitions."""
    found = [
        f"{name} is missing"
        for name, definition in DEFINITIONS.items()
        if definition["level"] == "mandatory" and name not in table.column_names
    ]
    ours = [name for name in table.column_names if name.startswith("x_")]
    if table.column_names[len(table.column_names) - len(ours) :] != ours:
        found.append("columns of our own stand before those of FOCUS")
    for name in set(table.column_names) - set(ours):
        if (definition := DEFINITIONS.get(name)) is None:
            found.append(f"{name} is no column of FOCUS 1.2")
            continue
        found += [f"{name}: {problem}" for problem in _in_column(definition, table[name])]
    return found


def _in_column(definition: dict[str, Any], column: pa.ChunkedArray) -> list[str]:
    if not _TYPES[definition["type"]](column.type):
        return [f"is {column.type}, not {definition['type']}"]
    if column.null_count and not definition["empty"]:
        return ["is null somewhere"]
    values = {value for value in column.to_pylist() if value is not None}
    found = [f"{value!r} is not allowed" for value in values - set(definition.get("values", values))]
    checks: dict[str, Callable[[str], object]] = {
        "currency": re.compile(r"[A-Z]{3}").fullmatch,
        "unit": _UNIT.fullmatch,
        "object": lambda text: isinstance(json.loads(text), dict),
    }
    check = checks.get(definition.get("format", ""))
    return found + [f"{value!r} has not the right form" for value in values if check and not check(value)]


def table_of(*rows: dict[str, Any]) -> pa.Table:
    """The cost file of some node sessions."""
    return focus_table(rows, account=ACCOUNT)


MANY = (
    node_row("a", nanoseconds={"rendering": 5 * 10**11, "idle": 7}, nano_usd={"rendering": 3, "idle": 1}),
    node_row("b", provider="static", market="local", node_type="local", region="", zone="", gpu="", node_id=""),
    node_row("c", provider="runpod", market="on_demand", terminated_by="running", ended_at=None),
    node_row("d", gpus=8, billable_usd=Decimal(0), terminated_by="reclaimed"),
)


def test_file_is_valid_by_the_definitions_of_focus() -> None:
    """Every mandatory column is there; types, nulls and values are as FOCUS 1.2 has them."""
    assert problems(table_of(*MANY)) == []
    assert problems(table_of()) == []


def test_parquet_keeps_types_and_tells_the_version() -> None:
    """A reader of the Parquet file sees the same table, and which FOCUS it is."""
    read = pq.read_table(io.BytesIO(focus_parquet(table_of(*MANY))))
    assert problems(read) == []
    assert read.to_pylist() == table_of(*MANY).to_pylist()
    assert json.loads(read.schema.metadata[b"focus"])["FocusVersion"] == "1.2"


def test_csv_holds_the_same_in_the_formats_of_focus() -> None:
    """Instants are ISO 8601 in UTC, numbers have no exponent, and null is nothing at all."""
    table = table_of(*MANY, node_row("e", nano_usd={"rendering": 1}, node_type='a "quoted",\ntype'))
    rows = list(csv.DictReader(io.StringIO(focus_csv(table).decode(), newline="")))
    assert len(rows) == len(table)
    for written, row in zip(rows, table.to_pylist(), strict=True):
        for name, value in row.items():
            text = written[name]
            if value is None:
                assert text == ""
            elif isinstance(value, datetime):
                assert _INSTANT.fullmatch(text)
                assert datetime.fromisoformat(text) == value
            elif isinstance(value, Decimal):
                assert "E" not in text.upper()
                assert Decimal(text) == value
            else:
                assert text == str(value)


nanos = st.integers(0, 10**15)
sessions = st.lists(
    st.builds(
        lambda times, money, billable, gpus, day: node_row(
            nanoseconds=dict(zip(CATEGORIES, times, strict=True)),
            nano_usd=dict(zip(CATEGORIES, money, strict=True)),
            billable_usd=Decimal(billable).scaleb(-9),
            gpus=gpus,
            started_at=START.replace(day=day),
        ),
        st.tuples(*[nanos] * 7),
        st.tuples(*[nanos] * 7),
        nanos,
        st.sampled_from([1, 3, 8]),
        st.integers(1, 30),
    ),
    max_size=4,
)


@given(sessions)
def test_sums_are_those_of_the_ledger(rows: list[dict[str, Any]]) -> None:
    """Billed, accrued and GPU time add up to the node sessions', in all and by category, to the last nano."""
    table = table_of(*rows)
    charges = table.to_pylist()
    assert problems(table) == []
    assert sum(row["BilledCost"] for row in charges) == sum(row["billable_usd"] for row in rows)
    assert sum(row["x_accrued_usd"] for row in charges) == sum(row["accrued_usd"] for row in rows)
    for category in CATEGORIES:
        of_category = [row for row in charges if row["x_category"] == category]
        assert sum(row["x_accrued_usd"] for row in of_category) == sum(row[f"{category}_usd"] for row in rows)
        seconds = sum(row["x_gpu_seconds"] for row in of_category)
        assert seconds == Decimal(sum(row[f"{category}_nanoseconds"] for row in rows)).scaleb(-9)
    for row in charges:
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]


def test_session_over_the_end_of_a_month_is_in_both() -> None:
    """A month's bill holds that month's share of the time."""
    start = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
    row = node_row(started_at=start, nanoseconds={"idle": 4 * 3600 * 10**9}, nano_usd={"idle": 8})
    november, december = table_of(row).to_pylist()
    assert (november["BilledCost"], december["BilledCost"]) == (Decimal("2E-9"), Decimal("6E-9"))
    assert november["BillingPeriodEnd"] == december["BillingPeriodStart"] == datetime(2026, 12, 1, tzinfo=UTC)
    assert (november["ConsumedQuantity"], december["ConsumedQuantity"]) == (1, 3)


def test_quantity_times_price_is_the_cost_where_a_job_has_part_of_a_node() -> None:
    """Two of eight GPUs for an hour are a quarter of the node's hour, at the price of the whole node."""
    row = node_row(
        gpus=2,
        node_gpus=8,
        nanoseconds={"rendering": 2 * 3600 * 10**9},
        nano_usd={"rendering": 9 * 10**8},
        usd_per_hour=Decimal("3.6"),
    )
    (charge,) = table_of(row).to_pylist()
    assert charge["PricingQuantity"] == Decimal("0.25")
    assert charge["PricingQuantity"] * charge["x_usd_per_hour"] == charge["ListCost"]


def test_free_first_hour_is_billed_as_nothing_and_accrued_in_full() -> None:
    """What AWS does not charge for shows as the difference of the two costs."""
    (row,) = table_of(node_row(billable_usd=Decimal(0), terminated_by="reclaimed")).to_pylist()
    assert (row["BilledCost"], row["EffectiveCost"], row["ContractedCost"]) == (0, 0, 1)


def test_minimum_of_a_session_that_lived_no_time_is_billed() -> None:
    """Money that no category owns is in the file all the same."""
    (row,) = table_of(node_row(nanoseconds={}, nano_usd={}, billable_usd=Decimal("0.01"))).to_pylist()
    assert (row["x_category"], row["BilledCost"], row["PricingQuantity"]) == ("unattributed", Decimal("0.01"), 0)


@pytest.mark.parametrize(("provider", "name"), [("aws", "AWS"), ("static", "Self-hosted"), ("runpod", "runpod")])
def test_provider_is_named_as_finops_tools_know_it(provider: str, name: str) -> None:
    """AWS is AWS; a provider that we do not know keeps its own name."""
    (row,) = table_of(node_row(provider=provider)).to_pylist()
    assert (row["ProviderName"], row["InvoiceIssuerName"]) == (name, name)
