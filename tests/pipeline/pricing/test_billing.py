"""Providers' rules apply once to each instance, and what is billed is divided to the nano-dollar."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pricing.billing import BillingRule, Usage, bill
from pipeline.pricing.tariff import flat

_START = 1_800_000_000_000_000_000
_SECOND = 1_000_000_000
_PRICE = flat(Decimal("3.60"), "a tenth of a cent a second")
_AWS = BillingRule(provider="aws", minimum_seconds=60, free_if_reclaimed_within_seconds=3600)
_MINUTES = BillingRule(provider="minutes", granularity_seconds=60)
_HOURS = BillingRule(provider="hours", granularity_seconds=3600)


def usage(name: str, start: int, end: int, *, by: str = "released", market: str = "spot") -> Usage:
    """A session from second to second of an instance of one GPU at $3.60 an hour, launched with its session."""
    started_ns, ended_ns = _START + start * _SECOND, _START + end * _SECOND
    return Usage(
        session=name,
        launched_ns=started_ns,
        started_ns=started_ns,
        ended_ns=ended_ns,
        accrued_nano=_PRICE.cost(gpu_index=0, shares=1, started_ns=started_ns, ended_ns=ended_ns),
        market=market,
        terminated_by=by,
        tariff=_PRICE,
    )


@pytest.mark.parametrize(
    ("rule", "one", "usd"),
    [
        (_AWS, usage("s", 0, 30), "0.06"),
        (_AWS, usage("s", 0, 61), "0.061"),
        (_AWS, usage("s", 0, 3599, by="reclaimed"), "0"),
        (_AWS, usage("s", 0, 3600, by="reclaimed"), "3.6"),
        (_AWS, usage("s", 0, 3599, by="released"), "3.599"),
        (_AWS, usage("s", 0, 3599, by="lost"), "3.599"),
        (_AWS, usage("s", 0, 1800, by="reclaimed", market="on_demand"), "1.8"),
        (_AWS, usage("s", 0, 30, by="running"), "0.03"),
        (_MINUTES, usage("s", 0, 61), "0.12"),
        (_MINUTES, usage("s", 0, 120), "0.12"),
        (_HOURS, usage("s", 0, 1), "3.6"),
        (_HOURS, usage("s", 0, 3601), "7.2"),
        (_HOURS, usage("s", 0, 60, by="reclaimed"), "3.6"),
        (None, usage("s", 0, 30), "0.03"),
    ],
)
def test_one_session_is_billed_by_its_providers_rule(rule: BillingRule | None, one: Usage, usd: str) -> None:
    """Hand-computed dollars: a minimum, a free first hour when the cloud takes the node, whole minutes, whole hours."""
    assert bill([one], rule) == {"s": int(Decimal(usd) * 10**9)}


def test_minimum_and_free_hour_apply_to_the_instance_and_not_to_each_session() -> None:
    """Two sessions of 20 s have one minimum of 60 s between them; a reclaim in the first hour frees both."""
    two = [usage("a", 0, 20), usage("b", 20, 40)]
    assert bill(two, _AWS) == {"a": 30_000_000, "b": 30_000_000}
    assert bill([two[0], replace(two[1], terminated_by="reclaimed")], _AWS) == {"a": 0, "b": 0}


def test_session_on_an_instance_that_ran_before_owes_no_minimum() -> None:
    """What counts is the instance's age: 20 s on a node that is an hour old are 20 s."""
    late = replace(usage("s", 3600, 3620), launched_ns=_START)
    assert bill([late], _AWS) == {"s": 20_000_000}
    assert bill([replace(late, terminated_by="reclaimed")], _AWS) == {"s": 20_000_000}


def test_other_job_on_the_same_instance_has_paid_its_part() -> None:
    """A job that ended after 30 s was billed the minimum; the next one on the instance owes only what is left."""
    other = replace(usage("a", 0, 30), tariff=None, billed_nano=60_000_000)
    assert bill([other, usage("b", 30, 100)], _AWS) == {"b": 40_000_000}
    assert bill([other, usage("b", 30, 50)], _AWS) == {"b": 0}


_SESSIONS = st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 5000)), min_size=1, max_size=6)


@given(lengths=_SESSIONS, grain=st.sampled_from([1, 60, 3600]), minimum=st.sampled_from([0, 60]))
def test_parts_add_up_to_the_instances_bill(lengths: list[tuple[int, int]], grain: int, minimum: int) -> None:
    """Whatever the sessions, together they are billed what the instance is, and none less than it accrued."""
    rule = BillingRule(provider="p", granularity_seconds=grain, minimum_seconds=minimum)
    usages, at = [], 0
    for number, (gap, length) in enumerate(lengths):
        usages.append(usage(str(number), at + gap, at + gap + length))
        at += gap + length
    billed, accrued = bill(usages, rule), sum(one.accrued_nano for one in usages)
    seconds = at - lengths[0][0]
    added = max(minimum, -(-seconds // grain) * grain) - seconds
    assert sum(billed.values()) == accrued + added * 1_000_000
    assert all(billed[one.session] >= one.accrued_nano for one in usages)
