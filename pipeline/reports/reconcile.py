"""Compares a cloud's bill with the ledger, instance by instance, and explains the difference where it can be.

Money is Decimal; the explanations of an instance and what is left unexplained add up to the difference, exactly.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from pipeline.pricing.money import NANO, nano_usd, split, usd
from pipeline.reports.bill import Bill, Billed
from pipeline.reports.focus import gpus_of_node

_HOUR: Final = Decimal(3600)
_NS_PER_HOUR: Final = Decimal(3_600_000_000_000)
_MICRO: Final = timedelta(microseconds=1)
_SHOWN: Final = Decimal("0.000001")
"""A part of a difference below this is left to `unexplained`: bills hold doubles."""

_IN_NO_BILL: Final = {"", "local", "static"}
"""Providers of nodes that no cloud bills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One reason why bill and ledger differ."""

    reason: str
    usd: Decimal
    """Above zero: the bill has more than the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceBill:
    """One instance in the ledger and in the bill."""

    node_id: str
    """The cloud's instance id."""
    node_type: str
    market: str
    jobs: tuple[str, ...]
    sessions: int
    started_at: datetime
    ended_at: datetime
    hours: Decimal
    """Of the whole node, by the ledger, inside the bill's period; a job that has half of its GPUs counts half."""
    accrued_usd: Decimal
    """Time x price, inside the bill's period."""
    billable_usd: Decimal
    """By the provider's rules, inside the bill's period."""
    billed_usd: Decimal | None
    """By the bill; None when the bill does not name the instance."""
    billed_hours: Decimal | None
    difference_usd: Decimal
    """Billed - billable; an instance that is not in the bill counts as billed nothing."""
    parts: tuple[Part, ...]
    """Largest first."""
    unexplained_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """A bill beside the ledger."""

    bill: str
    """What kind of bill."""
    bill_rows: int
    starts_at: datetime | None
    ends_at: datetime | None
    """Of its billing periods, exclusive."""
    last_usage_at: datetime | None
    instances: tuple[InstanceBill, ...]
    """The largest difference first."""
    accrued_usd: Decimal
    billable_usd: Decimal
    billed_usd: Decimal
    difference_usd: Decimal
    parts: tuple[Part, ...]
    """Of all instances, added up by reason; largest first."""
    unexplained_usd: Decimal
    missing: int
    """Instances that the bill does not name."""
    outside_usd: Decimal
    """Billable outside the bill's period: in another month's bill, so not compared."""
    outside: int
    """Instances that lie wholly outside it."""
    own_usd: Decimal
    """Billable of nodes that no cloud bills."""
    own: int


def reconcile(sessions: Iterable[Mapping[str, Any]], bill: Bill) -> Reconciliation:
    """Compare.

    Args:
        sessions: rows of the nodes ledger, with `job`, and `until_at` for the end of those that still run.
        bill: read for the ids of `instance_ids`.
    """
    rows = list(sessions)
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if in_bills(row):
            by_id.setdefault(row["node_id"], []).append(row)
    own = [row for row in rows if not in_bills(row)]
    held = [_Held.of(name, some, bill) for name, some in by_id.items()]
    inside = [one for one in held if one.inside]
    instances = [_compare(one, bill) for one in inside]
    instances.sort(key=lambda one: (-abs(one.difference_usd), one.node_id))
    return Reconciliation(
        bill=bill.kind,
        bill_rows=bill.rows,
        starts_at=bill.starts_at,
        ends_at=bill.ends_at,
        last_usage_at=bill.last_usage_at,
        instances=tuple(instances),
        accrued_usd=_sum(one.accrued_usd for one in instances),
        billable_usd=_sum(one.billable_usd for one in instances),
        billed_usd=_sum(one.billed_usd or Decimal(0) for one in instances),
        difference_usd=_sum(one.difference_usd for one in instances),
        parts=_added_up(part for one in instances for part in one.parts),
        unexplained_usd=_sum(one.unexplained_usd for one in instances),
        missing=sum(one.billed_usd is None for one in instances),
        outside_usd=_sum(one.outside_usd for one in held),
        outside=len(held) - len(inside),
        own_usd=_sum(_billable(row) for row in own),
        own=len({row["node_id"] or row["node_session"] for row in own}),
    )


def in_bills(row: Mapping[str, Any]) -> bool:
    """Whether a cloud bills this node session."""
    return bool(row["node_id"]) and (row["provider"] or "") not in _IN_NO_BILL


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def _billable(row: Mapping[str, Any]) -> Decimal:
    amount: Decimal | None = row["billable_usd"]
    return row["accrued_usd"] if amount is None else amount


def _added_up(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts by reason, the largest first."""
    amounts: dict[str, Decimal] = {}
    for part in parts:
        amounts[part.reason] = amounts.get(part.reason, Decimal(0)) + part.usd
    found = [Part(reason=reason, usd=amount) for reason, amount in amounts.items()]
    return tuple(sorted(found, key=lambda part: (-abs(part.usd), part.reason)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What the ledger holds of one instance, inside and outside the bill's period."""

    node_id: str
    rows: tuple[Mapping[str, Any], ...]
    inside: bool
    seconds: Decimal
    young: bool
    """It lived for less than an hour."""
    accrued_usd: Decimal
    billable_usd: Decimal
    outside_usd: Decimal

    @classmethod
    def of(cls, node_id: str, rows: list[Mapping[str, Any]], bill: Bill) -> "_Held":
        nanoseconds, accrued, billable, outside = 0, 0, 0, 0
        lengths = [_lengths(row, bill) for row in rows]
        for row, inside_and_out in zip(rows, lengths, strict=True):
            node_ns = row["lifetime_gpu_nanoseconds"] // gpus_of_node(row)
            nanoseconds += split(node_ns, inside_and_out)[0]
            accrued += split(nano_usd(row["accrued_usd"]), inside_and_out)[0]
            here, elsewhere = split(nano_usd(_billable(row)), inside_and_out)
            billable, outside = billable + here, outside + elsewhere
        return cls(
            node_id=node_id,
            rows=tuple(rows),
            inside=any(inside for inside, _ in lengths) or node_id in bill.instances,
            seconds=Decimal(nanoseconds).scaleb(-9),
            young=_age(rows) < timedelta(hours=1),
            accrued_usd=usd(accrued),
            billable_usd=usd(billable),
            outside_usd=usd(outside),
        )


def _age(rows: Iterable[Mapping[str, Any]]) -> timedelta:
    """From the launch of an instance, as far as that is known, to its end."""
    spans: list[tuple[datetime, datetime]] = [
        (row.get("launched_at") or row["started_at"], row["until_at"]) for row in rows
    ]
    return max(end for _, end in spans) - min(start for start, _ in spans)


def _lengths(row: Mapping[str, Any], bill: Bill) -> tuple[int, int]:
    """Microseconds of a session inside and outside the bill's period; one of no length counts as one."""
    start, end = row["started_at"], max(row["until_at"], row["started_at"] + _MICRO)
    if bill.starts_at is None or bill.ends_at is None:
        return 0, (end - start) // _MICRO
    inside = max(min(end, bill.ends_at) - max(start, bill.starts_at), timedelta(0)) // _MICRO
    return inside, (end - start) // _MICRO - inside


def _compare(held: _Held, bill: Bill) -> InstanceBill:
    rows, billed = held.rows, bill.instances.get(held.node_id)
    ended_at = max(row["until_at"] for row in rows)
    difference = (billed.usd if billed else Decimal(0)) - held.billable_usd
    parts = _added_up(part for part in _parts(held, billed, bill, ended_at) if abs(part.usd) >= _SHOWN)
    return InstanceBill(
        node_id=held.node_id,
        node_type=rows[0]["node_type"] or "",
        market=rows[0]["market"] or "",
        jobs=tuple(sorted({row["job"] for row in rows})),
        sessions=len(rows),
        started_at=min(row["started_at"] for row in rows).astimezone(UTC),
        ended_at=ended_at.astimezone(UTC),
        hours=held.seconds / _HOUR,
        accrued_usd=held.accrued_usd,
        billable_usd=held.billable_usd,
        billed_usd=billed.usd if billed else None,
        billed_hours=billed.hours if billed else None,
        difference_usd=difference,
        parts=parts,
        unexplained_usd=difference - _sum(part.usd for part in parts),
    )


def _parts(held: _Held, billed: Billed | None, bill: Bill, ended_at: datetime) -> Iterator[Part]:
    """The reasons that the figures give for a difference; together they are all of it or less."""
    if billed is None:
        yield Part(reason=_why_missing(held, bill, ended_at), usd=-held.billable_usd)
        return
    yield Part(reason="traffic and other charges on the instance", usd=billed.other_usd)
    yield Part(reason="credits, refunds and discounts", usd=billed.adjustments_usd)
    yield Part(reason="tax", usd=billed.tax_usd)
    if billed.usage_usd == 0 and held.billable_usd > 0:
        yield Part(reason=_why_nothing(held, billed), usd=-held.billable_usd)
    elif billed.hours:
        yield from _time_and_price(held, billed, billed.hours, bill, ended_at)


def _time_and_price(held: _Held, billed: Billed, hours: Decimal, bill: Bill, ended_at: datetime) -> Iterator[Part]:
    """Hours that only one side has, at the billed price; then the other price for the hours of both."""
    expected = held.seconds / _HOUR
    if held.accrued_usd > 0:
        expected = expected * held.billable_usd / held.accrued_usd  # what the rules made of them
    time = (billed.usage_usd * (hours - expected) / hours).quantize(NANO)
    yield Part(reason=_why_time(held, hours, expected, bill, ended_at), usd=time)
    price = billed.usage_usd - held.billable_usd - time
    yield Part(reason="another price than the ledger's", usd=price)


def _why_time(held: _Held, hours: Decimal, expected: Decimal, bill: Bill, ended_at: datetime) -> str:
    """Why the bill has more or fewer hours."""
    if hours > expected:
        if not held.billable_usd and held.accrued_usd:
            return "charged, although reclaimed in its first hour"
        if held.seconds < 60 and hours * _HOUR < 61:
            return "minimum of 60 seconds"
        return "time outside these jobs: boot, other work, shutdown"
    if bill.last_usage_at is not None and bill.last_usage_at < ended_at:
        return "the bill is not final: it ends before the instance did"
    return "fewer hours billed than the ledger holds"


def _why_nothing(held: _Held, billed: Billed) -> str:
    """Why an instance is in the bill and its hours cost nothing."""
    if billed.adjustments_usd < 0:
        return "paid by a commitment: savings plan or reserved instance"
    if held.rows[0]["market"] == "spot" and held.young:
        return "free first hour: the cloud reclaimed it"
    return "not charged"


def _why_missing(held: _Held, bill: Bill, ended_at: datetime) -> str:
    """Why the bill does not name an instance."""
    if bill.last_usage_at is not None and bill.last_usage_at < ended_at:
        return "not in the bill yet: it ends before the instance did"
    spot = held.rows[0]["market"] == "spot"
    if spot and held.young and any(row["terminated_by"] in {"reclaimed", "lost"} for row in held.rows):
        return "not in the bill: free first hour of a reclaimed instance"
    return "not in the bill: another account, or no usage was billed"
