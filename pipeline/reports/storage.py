"""What the store itself cost: counts and rates by the nodes ledger's metadata, bytes by the images ledger."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipeline.pricing.storage_cost import StorageCost, StorageRates, StoreCalls, storage_cost
from pipeline.record import COLLECTED
from pipeline.reports.ledger import Ledger

_MOST_CALLS = 10**15
_MOST_USD = 10**6


def storage_of(ledger: Ledger, removed: Mapping[str, int]) -> StorageCost | None:
    """All jobs together; None when none of them tells, as ledgers did not before the store's calls were counted.

    Args:
        ledger: which jobs.
        removed: by job, bytes of images that are there no more.
    """
    rows = ledger.rows(
        """SELECT job, sum(bytes)::HUGEINT AS bytes FROM facts
           WHERE outcome = 'rendered' AND coalesce(cause, '') <> $cause GROUP BY job""",
        cause=COLLECTED,
    )
    stored = {row["job"]: max(0, int(row["bytes"]) - removed.get(row["job"], 0)) for row in rows}
    found = [
        storage_cost(told[0], stored.get(job, 0), told[1])
        for job, values in ledger.told("storage")
        if (told := _told(values)) is not None
    ]
    return sum(found, StorageCost()) if found else None


def _told(values: Any) -> tuple[StoreCalls, StorageRates | None] | None:
    """What one file says; None where that makes no sense."""
    try:
        calls = StoreCalls(**{name: _count(values[name]) for name in ("puts", "gets", "lists")})
        rates = values["rates"]
        return calls, None if rates is None else _rates(rates)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_CALLS:
        raise ValueError("no count")
    return value


def _rates(values: Mapping[str, Any]) -> StorageRates:
    """Raises: KeyError, TypeError, ValueError, ArithmeticError: these are none."""
    words = {name: str(values[name]) for name in ("source", "as_of")}
    return StorageRates(**words, **{name: _usd(values[name]) for name in values.keys() - words.keys()})  # type: ignore[arg-type]


def _usd(text: Any) -> Decimal:
    amount = Decimal(str(text))
    if not amount.is_finite() or not 0 <= amount < _MOST_USD:
        raise ValueError("no price")
    return amount
