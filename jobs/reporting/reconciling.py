"""`spotrender report --reconcile`: a cloud's bill beside the ledger, as text that fits 80 columns and as JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from jobs.reporting.lines import title
from jobs.reporting.report import MadeReport
from jobs.terminal_text import dollars, printable
from pipeline.errors import JobFileError
from pipeline.pricing.money import NANO
from pipeline.reports.bill import read_bill
from pipeline.reports.bill_files import bill_paths
from pipeline.reports.reconcile import InstanceBill, Reconciliation, in_bills, reconcile

FORMATS = ("table", "json")

_MOST_INSTANCES = 50


def checked_bill(path: Path, format_name: str) -> list[Path]:
    """The files of the bill, before the ledger is read. Raises: BillError, JobFileError: none, or another format."""
    if format_name not in FORMATS:
        raise JobFileError(f"--reconcile: --format must be one of {', '.join(FORMATS)}, got {format_name!r}")
    return bill_paths(path)


def reconciled(made: MadeReport, paths: list[Path], format_name: str) -> bytes:
    """The bill beside the ledger, in one of `FORMATS`. Raises: BillError: the bill cannot be compared."""
    rows = made.ledger.rows("SELECT * FROM sessions")
    bill = read_bill(paths, [row["node_id"] for row in rows if in_bills(row)])
    result = reconcile(rows, bill)
    return as_json(result) if format_name == "json" else as_text(title(made.report), result)


def as_json(result: Reconciliation) -> bytes:
    """All of it as one document; money as text with nine places."""
    return (json.dumps(asdict(result), default=_plain, indent=1, ensure_ascii=False) + "\n").encode()


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value.quantize(NANO):f}"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def as_text(name: str, result: Reconciliation) -> bytes:
    """For a person: totals, why they differ, and the instances that differ most."""
    return "".join(f"{line.rstrip()}\n" for line in _lines(name, result)).encode()


def _lines(name: str, result: Reconciliation) -> Iterator[str]:
    yield f"{printable(name)} beside {result.bill}, {result.bill_rows:,} rows"
    if result.starts_at and result.ends_at:
        last = f", last usage {_day(result.last_usage_at)}" if result.last_usage_at else ""
        yield f"the bill covers {_day(result.starts_at)} to {_day(result.ends_at)}{last}"
    yield ""
    yield f"  {_counted(len(result.instances), 'instance')}, {result.missing:,} of them not in the bill"
    for label, amount in (
        ("accrued", result.accrued_usd),
        ("billable", result.billable_usd),
        ("billed", result.billed_usd),
    ):
        yield f"  {label:<12}{_money(amount):>14}"
    yield f"  {'difference':<12}{_signed(result.difference_usd):>14}  billed - billable"
    for part in result.parts:
        yield f"    {_signed(part.usd):>14}  {part.reason}"
    if result.unexplained_usd and result.difference_usd:
        yield f"    {_signed(result.unexplained_usd):>14}  unexplained"
    if result.outside or result.outside_usd:
        what = (
            f"{_counted(result.outside, 'instance')} outside the bill's period"
            if result.outside
            else "outside its period"
        )
        yield f"  not compared: {_money(result.outside_usd)}, {what}"
    if result.own:
        yield f"  not compared: {_money(result.own_usd)}, {_counted(result.own, 'machine')} that no cloud bills"
    yield from _instances(result)


def _instances(result: Reconciliation) -> Iterator[str]:
    shown = result.instances[:_MOST_INSTANCES]
    if shown:
        yield ""
        yield f"  {'instance':<22}{'hours':>8}{'billable':>12}{'billed':>12}{'difference':>14}"
    for one in shown:
        yield from _instance(one)
    if len(shown) < len(result.instances):
        yield f"  ... and {len(result.instances) - len(shown):,} more, which differ less; --json tells them all"


def _instance(one: InstanceBill) -> Iterator[str]:
    billed = "-" if one.billed_usd is None else _money(one.billed_usd)
    name = printable(one.node_id, most=22)
    figures = f"{one.hours:>8,.2f}{_money(one.billable_usd):>12}{billed:>12}{_signed(one.difference_usd):>14}"
    yield f"  {name:<22}{figures}"
    for part in one.parts:
        yield f"    {_signed(part.usd)} {part.reason}"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


def _money(amount: Decimal) -> str:
    """Dollars of either sign."""
    return f"-{dollars(-amount)}" if amount < 0 else dollars(amount)


def _signed(amount: Decimal) -> str:
    """A difference: with its sign, also above zero."""
    return f"+{dollars(amount)}" if amount > 0 else _money(amount)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
