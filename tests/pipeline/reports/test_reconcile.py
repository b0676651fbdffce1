"""Billed beside accrued and billable: the difference is exact, and explained where the figures tell why."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.schema import CATEGORIES
from pipeline.pricing.money import usd
from pipeline.reports.bill import Bill, Billed
from pipeline.reports.reconcile import InstanceBill, reconcile
from tests.pipeline.reports.made_bill import DECEMBER, NOVEMBER
from tests.pipeline.reports.node_rows import START, node_row

HOUR = 3600 * 10**9


def bill_of(**instances: Billed) -> Bill:
    """A bill of November; instance `a` is `i-0a`."""
    named = {f"i-0{name}": billed for name, billed in instances.items()}
    return Bill(kind="FOCUS", starts_at=NOVEMBER, ends_at=DECEMBER, last_usage_at=DECEMBER, instances=named)


def session(name: str = "a", *, hours: str = "1", **values: Any) -> dict[str, Any]:
    """A node session at a dollar an hour."""
    nanoseconds = int(Decimal(hours) * HOUR)
    money = int(Decimal(hours) * 10**9)
    return node_row(name, nanoseconds={"rendering": nanoseconds}, nano_usd={"rendering": money}, **values)


def usage(dollars: str, hours: str | None = "1", **values: Any) -> Billed:
    """What a bill says of an instance's own hours."""
    return Billed(usage_usd=Decimal(dollars), hours=None if hours is None else Decimal(hours), rows=1, **values)


def compared(row: dict[str, Any], billed: Billed | None) -> InstanceBill:
    """One session beside the bill of its instance."""
    (one,) = reconcile([row], bill_of(a=billed) if billed else bill_of()).instances
    return one


def figures(*values: object) -> tuple[object, ...]:
    """Several values, to be compared with others, be they Decimal or whole."""
    return values


def reasons(one: InstanceBill) -> dict[str, Decimal]:
    """Why they differ."""
    return {part.reason: part.usd for part in one.parts}


def test_bill_that_agrees_differs_by_nothing() -> None:
    """The same hours at the same price."""
    one = compared(session(), usage("1"))
    assert figures(one.billed_usd, one.billable_usd, one.accrued_usd, one.difference_usd) == (1, 1, 1, 0)
    assert figures(one.parts, one.unexplained_usd) == ((), 0)


@pytest.mark.parametrize(
    ("row", "billed", "parts"),
    [
        (session(), usage("1.25", "1.25"), {"time outside these jobs: boot, other work, shutdown": "0.25"}),
        (session(), usage("0.8"), {"another price than the ledger's": "-0.2"}),
        (
            session(),
            usage("1.0", "1.25"),
            {"time outside these jobs: boot, other work, shutdown": "0.2", "another price than the ledger's": "-0.2"},
        ),
        (session(hours="0.005"), usage("0.016667", "0.016667"), {"minimum of 60 seconds": "0.011667"}),
        (session(), usage("0.5", "0.5"), {"fewer hours billed than the ledger holds": "-0.5"}),
        (
            session(hours="0.5", terminated_by="lost"),
            usage("0", "0.5"),
            {"free first hour: the cloud reclaimed it": "-0.5"},
        ),
        (
            session(hours="0.5", terminated_by="reclaimed", billable_usd=Decimal(0)),
            usage("0.5", "0.5"),
            {"charged, although reclaimed in its first hour": "0.5"},
        ),
        (
            session(),
            usage("1", other_usd=Decimal("0.3"), tax_usd=Decimal("0.2"), adjustments_usd=Decimal("-0.1")),
            {
                "traffic and other charges on the instance": "0.3",
                "tax": "0.2",
                "credits, refunds and discounts": "-0.1",
            },
        ),
        (session(), None, {"not in the bill: another account, or no usage was billed": "-1"}),
        (
            session(hours="0.5", terminated_by="reclaimed"),
            None,
            {"not in the bill: free first hour of a reclaimed instance": "-0.5"},
        ),
    ],
)
def test_difference_is_explained(row: dict[str, Any], billed: Billed | None, parts: dict[str, str]) -> None:
    """Each reason carries its dollars, and together they are the difference."""
    one = compared(row, billed)
    assert reasons(one) == {reason: Decimal(text) for reason, text in parts.items()}
    assert one.unexplained_usd == 0
    assert (one.billed_usd is None) == (billed is None)


def test_rules_that_the_ledger_applied_are_no_difference() -> None:
    """A minute billed for 18 seconds, as the ledger said it would be."""
    row = session(hours="0.005", billable_usd=Decimal("0.016666667"))
    one = compared(row, usage("0.016666667", "0.016666667"))
    assert figures(one.accrued_usd, one.billable_usd) == (Decimal("0.005"), Decimal("0.016666667"))
    assert figures(one.difference_usd, one.parts) == (0, ())


def test_free_hour_that_the_ledger_expected_is_no_difference() -> None:
    """Nothing billable, nothing billed; what was accrued is still shown."""
    row = session(hours="0.5", terminated_by="reclaimed", billable_usd=Decimal(0))
    for billed in (usage("0", "0.5"), None):
        one = compared(row, billed)
        assert figures(one.accrued_usd, one.billable_usd, one.difference_usd, one.parts) == (Decimal("0.5"), 0, 0, ())


def test_money_without_hours_stays_unexplained() -> None:
    """Where the bill does not say how long, nobody guesses."""
    one = compared(session(), usage("1.5", None))
    assert figures(one.difference_usd, one.parts, one.unexplained_usd) == (Decimal("0.5"), (), Decimal("0.5"))


def test_bill_that_is_not_final_is_said_to_be() -> None:
    """Today's bill lacks the last hours."""
    bill = bill_of(a=usage("0.5", "0.5"))
    bill.last_usage_at = START + timedelta(minutes=30)
    result = reconcile([session("a"), session("b")], bill)
    assert {part.reason: part.usd for part in result.parts} == {
        "the bill is not final: it ends before the instance did": Decimal("-0.5"),
        "not in the bill yet: it ends before the instance did": Decimal(-1),
    }


def test_time_outside_the_bills_period_is_not_compared() -> None:
    """A session over the end of the month is compared for its part of the month; another month's not at all."""
    over = session("a", hours="4", started_at=DECEMBER - timedelta(hours=1))
    later = session("b", started_at=DECEMBER)
    result = reconcile([over, later], bill_of(a=usage("1")))
    (one,) = result.instances
    assert figures(one.hours, one.billable_usd, one.difference_usd) == (1, 1, 0)
    assert figures(result.outside, result.outside_usd) == (1, 4)


def test_own_machines_are_in_no_bill() -> None:
    """Nodes of no cloud are told apart, not missed."""
    result = reconcile([session(provider="static"), session("b", node_id="")], bill_of())
    assert figures(result.instances, result.own, result.own_usd, result.missing) == ((), 2, 2, 0)


def test_instance_of_two_jobs_is_compared_once() -> None:
    """What is billed belongs to both sessions together."""
    rows = [session("a", job="one-0123456789abcdef"), session("a", job="two-0123456789abcdef")]
    (one,) = reconcile(rows, bill_of(a=usage("2", "2"))).instances
    assert figures(one.sessions, len(one.jobs), one.difference_usd) == (2, 2, 0)


def test_node_shared_by_two_jobs_is_one_machine() -> None:
    """Each has half of the GPUs for an hour: together that is the hour which is billed."""
    half = node_row("a", gpus=4, node_gpus=8, nanoseconds={"rendering": 4 * HOUR}, nano_usd={"rendering": 4 * 10**9})
    rows = [half, half | {"job": "two-0123456789abcdef"}]
    (one,) = reconcile(rows, bill_of(a=usage("8"))).instances
    assert figures(one.hours, one.billable_usd, one.difference_usd) == (1, 8, 0)


def test_empty_bill_covers_nothing() -> None:
    """Without rows no period is known, so nothing is compared."""
    result = reconcile([session()], Bill(kind="FOCUS"))
    assert figures(result.instances, result.outside, result.outside_usd) == ((), 1, 1)


nanos = st.integers(0, 10**13)
amounts = nanos.map(usd)
rows = st.builds(
    lambda name, times, money, billable, gpus, day, end: node_row(
        name,
        nanoseconds=dict(zip(CATEGORIES, times, strict=True)),
        nano_usd=dict(zip(CATEGORIES, money, strict=True)),
        billable_usd=billable,
        gpus=gpus,
        started_at=START.replace(day=day),
        terminated_by=end,
    ),
    st.sampled_from("abc"),
    st.tuples(*[nanos] * 7),
    st.tuples(*[nanos] * 7),
    amounts,
    st.sampled_from([1, 8]),
    st.integers(1, 30),
    st.sampled_from(["reclaimed", "released", "lost", "running"]),
)
bills = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        Billed,
        usage_usd=amounts,
        other_usd=amounts,
        tax_usd=amounts,
        adjustments_usd=amounts.map(lambda amount: -amount),
        hours=st.none() | st.decimals(0, 1000, places=9),
    ),
)


@given(st.lists(rows, max_size=5), bills)
def test_parts_and_the_unexplained_add_up(sessions: list[dict[str, Any]], billed: dict[str, Billed]) -> None:
    """Whatever the figures are, no cent of a difference is lost or told twice, per instance and in total."""
    result = reconcile(sessions, bill_of(**billed))
    for one in result.instances:
        assert one.difference_usd == (one.billed_usd or 0) - one.billable_usd
        assert sum(part.usd for part in one.parts) + one.unexplained_usd == one.difference_usd
    assert result.difference_usd == result.billed_usd - result.billable_usd
    assert sum(part.usd for part in result.parts) + result.unexplained_usd == result.difference_usd
    assert result.billable_usd + result.outside_usd == sum((row["billable_usd"] for row in sessions), Decimal(0))
