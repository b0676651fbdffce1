"""Reads a cloud's bill, row by row in bounded memory, and keeps the rows of some instances. Money is Decimal.

The bill comes from outside: whatever is wrong with it ends in one `BillError`, before anything is compared.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import BillError
from pipeline.reports.bill_columns import BillColumns
from pipeline.reports.bill_files import bill_batches

CURRENCY: Final = "USD"

_COMPUTE: Final = re.compile(r"(Spot|Box|Dedicated)Usage")
"""AWS usage types that are an instance's own hours; what else names an instance is traffic and the like."""

_TIME: Final = re.compile(r"(hour|hr|minute|second)s?", re.IGNORECASE)
_HOURS: Final = re.compile(r"(hour|hr)s?", re.IGNORECASE)
_USAGE: Final = {"Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"}
_MOST_DIGITS = 40


@dataclass(slots=True, kw_only=True)
class Billed:
    """All that a bill says of one instance."""

    usage_usd: Decimal = Decimal(0)
    """Hours of the instance itself."""
    other_usd: Decimal = Decimal(0)
    """Other usage in its name: traffic, attached addresses."""
    adjustments_usd: Decimal = Decimal(0)
    """Credits, refunds, discounts, negations of savings plans."""
    tax_usd: Decimal = Decimal(0)
    hours: Decimal | None = Decimal(0)
    """Of the instance itself; None when the bill does not say, or counts cores and memory apart."""
    rows: int = 0

    @property
    def usd(self) -> Decimal:
        """All of it."""
        return self.usage_usd + self.other_usd + self.adjustments_usd + self.tax_usd


@dataclass(slots=True, kw_only=True)
class Bill:
    """What a bill says of the instances that were asked for, and which time it covers."""

    kind: str
    """`AWS CUR 2.0` or `FOCUS`."""
    rows: int = 0
    """In all."""
    starts_at: datetime | None = None
    """First instant of its billing periods; None for a bill without rows."""
    ends_at: datetime | None = None
    """The end of its billing periods, exclusive."""
    last_usage_at: datetime | None = None
    """The latest usage in it: a bill that is not final ends early."""
    instances: dict[str, Billed] = field(default_factory=dict)


def read_bill(paths: Sequence[Path], instances: Sequence[str]) -> Bill:
    """Read the files of one bill.

    Args:
        paths: Parquet or CSV, also gzipped; all of one kind.
        instances: ids to look for; a row's resource may also be a path or ARN that ends with one.

    Raises:
        BillError: a file cannot be read, has other columns, values that are none, or another currency.
    """
    wanted = pa.array(sorted(set(instances)), pa.string())
    bill: Bill | None = None
    for path in paths:
        for kind, batch in bill_batches(path):
            bill = bill or Bill(kind=kind.name)
            if bill.kind != kind.name:
                raise BillError(f"{path}: is {kind.name}, the file before it {bill.kind}; give files of one export")
            _take(bill, kind, batch, wanted, path)
    if bill is None:
        raise BillError("there is no file to reconcile with: give a Parquet or CSV file, or a folder that holds some")
    return bill


def _take(bill: Bill, kind: BillColumns, batch: pa.Table, wanted: pa.Array, path: Path) -> None:
    """Take some rows in."""
    bill.rows += len(batch)
    others = [text for text in pc.unique(batch[kind.currency]).to_pylist() if text not in {None, "", CURRENCY}]
    if others:
        raise BillError(f"{path}: is in {others[0][:20]!r}, the ledger is in US dollars; export the bill in {CURRENCY}")
    for instant in _instants(batch[kind.period_starts], path, kind.period_starts):
        bill.starts_at = min(bill.starts_at or instant, instant)
    for instant in _instants(batch[kind.period_ends], path, kind.period_ends):
        bill.ends_at = max(bill.ends_at or instant, instant)
    usage = batch.filter(pc.is_in(batch[kind.kind], value_set=pa.array(sorted(_USAGE))))
    for instant in _instants(usage[kind.ends], path, kind.ends):
        bill.last_usage_at = max(bill.last_usage_at or instant, instant)
    ids = pc.replace_substring_regex(batch[kind.resource], pattern=r"^.*/", replacement="")
    chosen = pc.or_(pc.is_in(ids, value_set=wanted), pc.is_in(batch[kind.resource], value_set=wanted))
    if pc.any(chosen).as_py():
        known = set(wanted.to_pylist())
        for row in batch.append_column("id", ids).filter(chosen).to_pylist():
            name = row[kind.resource] if row[kind.resource] in known else row["id"]
            _add(bill.instances.setdefault(name, Billed()), kind, row, f"{path}: {name}")


def _add(billed: Billed, kind: BillColumns, row: Mapping[str, str | None], where: str) -> None:
    """Take one row of an instance in."""
    cost = _number(row[kind.cost], f"{where}: {kind.cost}")
    what = row[kind.kind] or ""
    billed.rows += 1
    if what == "Tax":
        billed.tax_usd += cost
    elif what not in _USAGE:
        billed.adjustments_usd += cost
    elif not _is_compute(kind, row):
        billed.other_usd += cost
    else:
        billed.usage_usd += cost
        billed.hours = None if billed.hours is None else _more_hours(billed.hours, kind, row, where)


def _more_hours(hours: Decimal, kind: BillColumns, row: Mapping[str, str | None], where: str) -> Decimal | None:
    """With those of one row; None when the row is not in hours."""
    unit = (row.get(kind.unit) or "").strip()
    if not row.get(kind.quantity) or (unit and not _HOURS.fullmatch(unit)):
        return None
    return hours + _number(row[kind.quantity], f"{where}: {kind.quantity}")


def _is_compute(kind: BillColumns, row: Mapping[str, str | None]) -> bool:
    """Whether a row of usage is for the instance's own time; it is where the bill does not tell what it is for."""
    if usage := row.get(kind.usage):
        return _COMPUTE.search(usage) is not None
    unit = row.get(kind.unit)
    return not unit or _TIME.search(unit) is not None


def _number(text: str | None, where: str) -> Decimal:
    """A finite number. An empty field is zero. Raises: BillError."""
    if not text:
        return Decimal(0)
    try:
        number = Decimal(text) if len(text) <= _MOST_DIGITS else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise BillError(f"{where} must be a number, got {text[:40]!r}; is the file whole, and no column shifted?")
    return number


def _instants(column: pa.ChunkedArray, path: Path, name: str) -> Iterator[datetime]:
    """The distinct instants of a column of text; UTC where it does not say. Raises: BillError."""
    for text in pc.unique(column).to_pylist():
        if not text:
            continue
        try:
            found = datetime.fromisoformat(text.strip())
        except ValueError:
            raise BillError(
                f"{path}: {name} must be an instant such as 2026-11-01T00:00:00Z, got {text[:40]!r}"
            ) from None
        yield found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
