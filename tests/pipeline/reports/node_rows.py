"""Rows of the nodes ledger, made up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.ledger.schema import CATEGORIES
from pipeline.pricing.money import usd

START = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
"""When made sessions start."""


def node_row(
    name: str = "n1",
    *,
    nanoseconds: dict[str, int] | None = None,
    nano_usd: dict[str, int] | None = None,
    billable_usd: Decimal | None = None,
    gpus: int = 1,
    started_at: datetime = START,
    **values: Any,
) -> dict[str, Any]:
    """One node session as a report reads it; its lifetime and its cost are the sums of its categories.

    Args:
        name: of the session.
        nanoseconds: GPU-nanoseconds by category; 1,000 seconds of rendering by default.
        nano_usd: nano-dollars by category; one dollar of rendering by default.
        billable_usd: accrued by default.
        gpus: of the node.
        started_at: aware.
        values: any other columns.
    """
    times = dict.fromkeys(CATEGORIES, 0) | ({"rendering": 10**12} if nanoseconds is None else nanoseconds)
    money = dict.fromkeys(CATEGORIES, 0) | ({"rendering": 10**9} if nano_usd is None else nano_usd)
    lifetime, accrued = sum(times.values()), usd(sum(money.values()))
    ended_at = started_at + timedelta(microseconds=lifetime // gpus // 1000)
    row: dict[str, Any] = {
        "job": "autumn-0123456789abcdef",
        "node_session": name,
        "node_id": f"i-0{name}",
        "provider": "aws",
        "node_type": "g6.xlarge",
        "market": "spot",
        "gpu": "L4",
        "gpu_count": gpus,
        "region": "us-east-1",
        "zone": "us-east-1a",
        "started_at": started_at,
        "ended_at": ended_at,
        "until_at": ended_at,
        "terminated_by": "released",
        "usd_per_hour": Decimal("3.600000000"),
        "price_source": "table",
        "accrued_usd": accrued,
        "billable_usd": accrued if billable_usd is None else billable_usd,
        "lifetime_gpu_nanoseconds": lifetime,
    }
    row |= {f"{category}_nanoseconds": times[category] for category in CATEGORIES}
    row |= {f"{category}_usd": usd(money[category]) for category in CATEGORIES}
    return row | values
