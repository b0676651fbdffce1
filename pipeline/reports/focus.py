"""The ledger as a FOCUS cost file: a row for each node session, category and month, whose sums are the ledger's.

`BilledCost` and `EffectiveCost` are what the provider's rules make of the session (`billable_usd`), divided among its
categories; `ContractedCost`, `ListCost` and `x_accrued_usd` are time x price, to the nano-dollar. A session that runs
over the end of a month is divided by time, for a billing period is a month.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.ledger.schema import CATEGORIES
from pipeline.pricing.money import nano_usd, split, usd
from pipeline.reports.focus_columns import FOCUS, FOCUS_VERSION

_NS_PER_HOUR = 3_600_000_000_000
_SECOND = timedelta(seconds=1)
_QUANTUM = Decimal(1).scaleb(-12)

_SELLERS = {
    "aws": ("AWS", "Amazon Elastic Compute Cloud"),
    "gcp": ("Google Cloud", "Compute Engine"),
    "azure": ("Microsoft", "Virtual Machines"),
}
"""Provider of the ledger -> who sells it, and the name of the service."""

_OWN = {"", "local", "static"}
"""Providers that are nobody's cloud."""


def focus_table(sessions: Iterable[Mapping[str, Any]], *, account: str) -> pa.Table:
    """The cost file.

    Args:
        sessions: rows of the nodes ledger, with `job`, and `until_at` for the end of those that still run.
        account: who is billed: the store's URI, without credentials.
    """
    rows = [row for session in sessions for row in _charges(session, account)]
    order = ("ChargePeriodStart", "x_job", "x_node_session")
    rows.sort(key=lambda row: [row[name] for name in order])  # stable: the categories stay in the ledger's order
    return pa.Table.from_pylist(rows, schema=FOCUS)


def focus_parquet(table: pa.Table) -> bytes:
    """As Parquet: money and quantities as decimals, instants in UTC."""
    sink = io.BytesIO()
    facts = json.dumps({"DataGenerator": "spotrender", "FocusVersion": FOCUS_VERSION}).encode()
    pq.write_table(table.replace_schema_metadata({b"focus": facts}), sink, compression="zstd")
    return sink.getvalue()


def focus_csv(table: pa.Table) -> bytes:
    """As CSV (RFC 4180, UTF-8): null is an empty field, money never has an exponent, instants end with `Z`."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(table.column_names)
    for batch in table.to_batches(max_chunksize=4096):
        writer.writerows([_field(value) for value in row.values()] for row in batch.to_pylist())
    return sink.getvalue().encode()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)


def _charges(session: Mapping[str, Any], account: str) -> Iterator[dict[str, Any]]:
    """The rows of one session; categories that took neither time nor money have none."""
    accrued = [nano_usd(session[f"{category}_usd"]) for category in CATEGORIES]
    times = [int(session[f"{category}_nanoseconds"]) for category in CATEGORIES]
    billable = session["billable_usd"]
    billed = split(nano_usd(session["accrued_usd"] if billable is None else billable), _weights(accrued, times))
    fixed = _facts(session) | {"BillingAccountId": account}
    periods = list(_periods(session["started_at"], session["until_at"]))
    lengths = [(end - start) // timedelta(microseconds=1) for start, end in periods]
    for category, *amounts in zip(CATEGORIES, times, accrued, billed, strict=True):
        shares = [split(amount, lengths) for amount in amounts]
        for (start, end), nanoseconds, cost, charge in zip(periods, *shares, strict=True):
            if nanoseconds or cost or charge:
                values = _amounts(nanoseconds, cost, charge, gpus=gpus_of_node(session))
                what = {"x_category": category, "ChargeDescription": _description(session, category)}
                yield fixed | what | _instants(start, end) | values


def gpus_of_node(session: Mapping[str, Any]) -> int:
    """GPUs of the whole node, among which its price is divided; `gpu_count` of them are the job's."""
    return max(session.get("node_gpus") or session["gpu_count"] or 1, 1)


def _weights(accrued: list[int], times: list[int]) -> list[int]:
    """How what is billed is divided among the categories: by money, else by time, else it is nobody's."""
    for amounts in (accrued, times):
        weights = [max(amount, 0) for amount in amounts]
        if any(weights):
            return weights
    return [int(category == "unattributed") for category in CATEGORIES]


def _amounts(nanoseconds: int, cost: int, charge: int, *, gpus: int) -> dict[str, Any]:
    """Quantities are hours of the whole node, as the price is: of a job that has half of the GPUs, half of them."""
    hours = (Decimal(nanoseconds) / (_NS_PER_HOUR * gpus)).quantize(_QUANTUM)
    return {
        "BilledCost": usd(charge),
        "EffectiveCost": usd(charge),
        "ContractedCost": usd(cost),
        "ListCost": usd(cost),
        "x_accrued_usd": usd(cost),
        "PricingQuantity": hours,
        "PricingUnit": "Hours",
        "ConsumedQuantity": hours,
        "ConsumedUnit": "Hours",
        "x_gpu_seconds": Decimal(nanoseconds).scaleb(-9),
    }


def _facts(session: Mapping[str, Any]) -> dict[str, Any]:
    """What all rows of a session share."""
    provider, market = session["provider"] or "", session["market"] or ""
    own = provider in _OWN
    seller, service = _SELLERS.get(provider, ("Self-hosted" if own else provider, "Compute"))
    tags = {"spotrender_job": session["job"], "spotrender_node_session": session["node_session"]}
    return {
        "AvailabilityZone": session["zone"] or None,
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": seller,
        "PricingCategory": "Dynamic" if market == "spot" else "Standard",
        "ProviderName": seller,
        "PublisherName": seller,
        "RegionId": session["region"] or None,
        "RegionName": session["region"] or None,
        "ResourceId": session["node_id"] or session["node_session"],
        "ResourceName": session["node_id"] or session["node_session"],
        "ResourceType": "Machine" if own else "Virtual Machine",
        "ServiceCategory": "Compute",
        "ServiceName": service,
        "ServiceSubcategory": "Other (Compute)" if own else "Virtual Machines",
        "Tags": json.dumps(tags, sort_keys=True),
        "x_gpu": session["gpu"] or None,
        "x_gpu_count": session["gpu_count"],
        "x_job": session["job"],
        "x_market": market or None,
        "x_node_session": session["node_session"],
        "x_node_type": session["node_type"] or None,
        "x_price_source": session["price_source"] or None,
        "x_terminated_by": session["terminated_by"] or None,
        "x_usd_per_hour": session["usd_per_hour"],
    }


def _description(session: Mapping[str, Any], category: str) -> str:
    kind = " ".join(text for text in (session["node_type"], (session["market"] or "").replace("_", " ")) if text)
    return f"{kind or 'node'}: {category.replace('_', ' ')}"


def _periods(started_at: datetime, until_at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """A session's life, cut at the ends of months; at least one part, and none that ends before it starts."""
    start, end = started_at.astimezone(UTC), max(started_at, until_at).astimezone(UTC)
    while (following := _month(start)[1]) < end:
        yield start, following
        start = following
    yield start, end


def _month(at: datetime) -> tuple[datetime, datetime]:
    """The month around an instant: its start, and the next one's."""
    first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, (first + timedelta(days=32)).replace(day=1)


def _instants(start: datetime, end: datetime) -> dict[str, datetime]:
    """Whole seconds, the start inclusive and the end exclusive, so that they hold all of the time."""
    month, next_month = _month(start)
    until = end.replace(microsecond=0)
    until = until if until == end and end > start else until + _SECOND
    return {
        "BillingPeriodStart": month,
        "BillingPeriodEnd": next_month,
        "ChargePeriodStart": start.replace(microsecond=0),
        "ChargePeriodEnd": min(until, next_month),
    }
