"""A report as flat rows and as JSON: money is exact text or decimals, never a float."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.reporting.report import MadeReport
from jobs.terminal_text import printable
from pipeline.ledger.schema import CATEGORIES, STARTUP_PARTS
from pipeline.pricing.money import NANO
from pipeline.reports.figures import NS_PER_HOUR, Group, Planned, Report
from pipeline.reports.gpu_usage import GpuUsage

_MONEY = pa.decimal128(38, 9)
_RATIO = pa.decimal128(38, 6)

COLUMNS = pa.schema(
    [
        ("by", pa.string()),
        ("name", pa.string()),
        *((count, pa.int64()) for count in ("nodes", "reclaimed", "lost", "running")),
        ("gpu_hours", _RATIO),
        *((count, pa.int64()) for count in ("rendered", "reused", "failed", "duplicates")),
        ("images_per_hour", _RATIO),
        ("utilisation", _RATIO),
        ("usd", _MONEY),
        ("billable_usd", _MONEY),
        ("usd_per_image", _MONEY),
        ("gpu_usd_per_image", _MONEY),
        ("images_per_usd", _MONEY),
        *((f"{category}_usd", _MONEY) for category in CATEGORIES),
        *((f"{category}_share", _RATIO) for category in CATEGORIES),
        *((f"{part}_usd", _MONEY) for part in STARTUP_PARTS),
        *((f"{part}_hours", _RATIO) for part in STARTUP_PARTS),
    ]
)
"""One row for each group; shares and utilisation from 0 to 1. The parts of `startup` are null where nobody knows."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for a formula at the beginning of a cell."""


def _planned(planned: Planned) -> dict[str, Any]:
    """The plan beside what came."""
    amounts = ("usd_per_image", "low_usd", "high_usd", "took_usd", "error")
    return {name: _money(getattr(planned, name)) for name in amounts} | {"origin": planned.origin}


def row(group: Group, by: str) -> dict[str, Any]:
    """One group as a row of `COLUMNS`."""
    values: dict[str, Any] = {"by": by}
    for name in COLUMNS.names:
        if hasattr(group, name):
            values[name] = getattr(group, name)
    values |= {f"{category}_usd": group.categories[category] for category in CATEGORIES}
    values |= {f"{category}_share": group.share(category) for category in CATEGORIES}
    for part in STARTUP_PARTS:
        values[f"{part}_usd"] = group.startup_parts[part] if group.startup_parts else None
        hours = Decimal(group.startup_nanoseconds[part]) / NS_PER_HOUR if group.startup_nanoseconds else None
        values[f"{part}_hours"] = hours
    for field in COLUMNS:
        if isinstance(values[field.name], Decimal):
            values[field.name] = values[field.name].quantize(NANO if field.type == _MONEY else Decimal("0.000001"))
    return values


def rows_of(report: Report) -> list[dict[str, Any]]:
    """All groups, and a row for the overhead, so that `usd` adds up to all spend; failures are no division of it."""
    rows = [row(group, report.by) for group in report.groups]
    if report.overhead_usd and report.by != "cause":
        usd = report.overhead_usd.quantize(NANO)
        rows.append(dict.fromkeys(COLUMNS.names) | {"by": report.by, "name": "(overhead)", "usd": usd})
    return rows


def as_csv(made: MadeReport) -> bytes:
    """The groups; text that a spreadsheet would run begins with an apostrophe, empty is unknown.

    Other text is as it was written, line breaks and all, but on a terminal.
    """
    sink = io.StringIO()
    writer = csv.DictWriter(sink, COLUMNS.names, lineterminator="\r\n")
    writer.writeheader()
    for values in rows_of(made.report):
        cells = {name: _cell(value) for name, value in values.items()}
        writer.writerow({name: printable(cell) for name, cell in cells.items()} if made.terminal else cells)
    return sink.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def as_parquet(made: MadeReport) -> bytes:
    """The groups, money as decimal128(38, 9)."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows_of(made.report), schema=COLUMNS), sink, compression="zstd")
    return sink.getvalue()


def as_json(made: MadeReport) -> bytes:
    """All figures as one document; money as text with nine places, other quotients as numbers."""
    return (json.dumps(document(made.report), indent=1, ensure_ascii=False) + "\n").encode()


def document(report: Report) -> dict[str, Any]:
    """The report as plain JSON values."""
    total = report.total
    return {
        "jobs": list(report.jobs),
        "since": report.since.isoformat() if report.since else None,
        "images": {name: getattr(total, name) for name in ("rendered", "reused", "failed", "duplicates")},
        "usd": _money(report.usd),
        "accrued_usd": _money(total.usd),
        "billable_usd": _money(total.billable_usd),
        "overhead_usd": _money(report.overhead_usd),
        "storage": report.storage and _plain(report.storage),
        "usd_per_image": _money(report.usd_per_image),
        "gpu_usd_per_image": _money(total.gpu_usd_per_image),
        "images_per_usd": _money(report.images_per_usd),
        "saved": {
            "on_demand_usd": _money(report.saved.on_demand_usd),
            "usd": _money(report.saved.usd),
            "saved_usd": _money(report.saved.saved_usd),
            "unknown": list(report.saved.unknown),
        },
        "total": _group(total),
        "by": report.by,
        "groups": [_group(group) for group in report.groups],
        "groups_left_out": report.groups_left_out,
        "by_node_type": [_group(group) for group in report.by_node_type],
        "failures": [_plain(failure) for failure in report.failures],
        "gpu_usages": [_usage(usage) for usage in report.gpu_usages],
        "advice": report.advice and _plain(report.advice),
        "price_sources": list(report.price_sources),
        "last_heartbeat_at": report.last_heartbeat_at and report.last_heartbeat_at.isoformat(),
        "notes": list(report.notes),
        "planned": None if report.planned is None else _planned(report.planned),
        "skipped": list(report.skipped),
    }


def _group(group: Group) -> dict[str, Any]:
    values = row(group, "")
    del values["by"]
    return {
        name: float(value) if COLUMNS.field(name).type == _RATIO and value is not None else _text(value)
        for name, value in values.items()
    }


def _usage(usage: GpuUsage) -> dict[str, Any]:
    values = {field.name: getattr(usage, field.name) for field in fields(usage)}
    told = {name: values[name] for name in ("busy", "watts", "joules")}
    return values | {"usd": _money(usage.usd)} | {name: one and float(one) for name, one in told.items()}


def _plain(value: Any) -> Mapping[str, Any]:
    return {field.name: _money(getattr(value, field.name)) for field in fields(value)}


def _money(value: Any) -> Any:
    """A Decimal as text with nine places; everything else as it is."""
    return _text(value.quantize(NANO)) if isinstance(value, Decimal) else value


def _text(value: Any) -> Any:
    return f"{value:f}" if isinstance(value, Decimal) else value
