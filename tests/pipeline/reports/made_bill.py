"""Bills as AWS writes them, made up: CUR 2.0 and FOCUS 1.2 with their real columns and types (doubles, instants)."""

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from tests.pipeline.reports.node_rows import START

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
END = START + timedelta(hours=1)

_INSTANT = pa.timestamp("ms", tz="UTC")

CUR_SCHEMA = pa.schema(
    [
        ("bill_bill_type", pa.string()),
        ("bill_billing_entity", pa.string()),
        ("bill_billing_period_end_date", _INSTANT),
        ("bill_billing_period_start_date", _INSTANT),
        ("bill_invoice_id", pa.string()),
        ("bill_payer_account_id", pa.string()),
        ("identity_line_item_id", pa.string()),
        ("identity_time_interval", pa.string()),
        ("line_item_availability_zone", pa.string()),
        ("line_item_currency_code", pa.string()),
        ("line_item_line_item_description", pa.string()),
        ("line_item_line_item_type", pa.string()),
        ("line_item_operation", pa.string()),
        ("line_item_product_code", pa.string()),
        ("line_item_resource_id", pa.string()),
        ("line_item_unblended_cost", pa.float64()),
        ("line_item_unblended_rate", pa.string()),
        ("line_item_usage_account_id", pa.string()),
        ("line_item_usage_amount", pa.float64()),
        ("line_item_usage_end_date", _INSTANT),
        ("line_item_usage_start_date", _INSTANT),
        ("line_item_usage_type", pa.string()),
        ("pricing_unit", pa.string()),
        ("product_instance_type", pa.string()),
    ]
)

FOCUS_SCHEMA = pa.schema(
    [
        ("AvailabilityZone", pa.string()),
        ("BilledCost", pa.float64()),
        ("BillingAccountId", pa.string()),
        ("BillingCurrency", pa.string()),
        ("BillingPeriodEnd", _INSTANT),
        ("BillingPeriodStart", _INSTANT),
        ("ChargeCategory", pa.string()),
        ("ChargePeriodEnd", _INSTANT),
        ("ChargePeriodStart", _INSTANT),
        ("ConsumedQuantity", pa.float64()),
        ("ConsumedUnit", pa.string()),
        ("EffectiveCost", pa.float64()),
        ("ProviderName", pa.string()),
        ("ResourceId", pa.string()),
        ("ServiceName", pa.string()),
        ("x_Operation", pa.string()),
        ("x_UsageType", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a bill."""

    resource: str
    usd: str
    """As the cloud prints it."""
    hours: str = "1"
    kind: str = "Usage"
    usage: str = "USE1-SpotUsage:g6.xlarge"
    unit: str = "Hrs"
    starts: datetime = START
    ends: datetime = END
    currency: str = "USD"


def cur(lines: Sequence[Line]) -> pa.Table:
    """As AWS CUR 2.0."""
    rows = [
        {
            "bill_bill_type": "Anniversary",
            "bill_billing_entity": "AWS",
            "bill_billing_period_end_date": DECEMBER,
            "bill_billing_period_start_date": NOVEMBER,
            "bill_payer_account_id": "111122223333",
            "identity_line_item_id": f"line{number}",
            "line_item_currency_code": line.currency,
            "line_item_line_item_description": f"${line.usd} of {line.usage}, Linux",
            "line_item_line_item_type": line.kind,
            "line_item_operation": "RunInstances:SV001",
            "line_item_product_code": "AmazonEC2",
            "line_item_resource_id": line.resource,
            "line_item_unblended_cost": float(line.usd),
            "line_item_usage_amount": float(line.hours),
            "line_item_usage_end_date": line.ends,
            "line_item_usage_start_date": line.starts,
            "line_item_usage_type": line.usage,
            "pricing_unit": line.unit,
            "product_instance_type": "g6.xlarge",
        }
        for number, line in enumerate(lines)
    ]
    return pa.Table.from_pylist(rows, schema=CUR_SCHEMA)


def focus(lines: Sequence[Line]) -> pa.Table:
    """As AWS's FOCUS 1.2."""
    rows = [
        {
            "BilledCost": float(line.usd),
            "BillingAccountId": "111122223333",
            "BillingCurrency": line.currency,
            "BillingPeriodEnd": DECEMBER,
            "BillingPeriodStart": NOVEMBER,
            "ChargeCategory": line.kind,
            "ChargePeriodEnd": line.ends,
            "ChargePeriodStart": line.starts,
            "ConsumedQuantity": float(line.hours),
            "ConsumedUnit": {"Hrs": "Hours"}.get(line.unit, line.unit),
            "EffectiveCost": float(line.usd),
            "ProviderName": "AWS",
            "ResourceId": f"arn:aws:ec2:us-east-1:111122223333:instance/{line.resource}",
            "ServiceName": "Amazon Elastic Compute Cloud",
            "x_UsageType": line.usage,
        }
        for line in lines
    ]
    return pa.Table.from_pylist(rows, schema=FOCUS_SCHEMA)


def write(table: pa.Table, path: Path) -> Path:
    """Write a bill in the format that its name says: `.parquet`, `.csv`, `.csv.gz` or `.parquet.gz`."""
    sink = io.BytesIO()
    if ".parquet" in path.name:
        pq.write_table(table, sink)
    else:
        pa_csv.write_csv(_as_aws_prints(table), sink)
    body = sink.getvalue()
    path.write_bytes(gzip.compress(body) if path.suffix == ".gz" else body)
    return path


def _as_aws_prints(table: pa.Table) -> pa.Table:
    """Instants as `2026-11-01T00:00:00.000Z`, which is how they stand in CSV."""
    columns: dict[str, Any] = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            texts = [None if at is None else f"{at:%Y-%m-%dT%H:%M:%S}.000Z" for at in column.to_pylist()]
            columns[name] = pa.array(texts, pa.string())
        else:
            columns[name] = column
    return pa.table(columns)
