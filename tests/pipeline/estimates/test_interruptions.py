"""Rates of reclaims from classes: in order, inside their class after a month, and wide where nobody told."""

import math

from pipeline.estimates.interruptions import CLASSES, HOURS_A_MONTH, reclaim_rate, seen_rate


def test_classes_give_rates_that_lose_their_share_in_a_month() -> None:
    """5-10 percent a month is that after 730 hours, and each class is worse than the one before."""
    rates = [reclaim_rate(name) for name in CLASSES]
    for (low, high), rate in zip(CLASSES.values(), rates, strict=True):
        gone = 1 - math.exp(-rate.per_hour * HOURS_A_MONTH)
        assert low <= gone <= high
        assert rate.low <= rate.per_hour <= rate.high
    assert [rate.per_hour for rate in rates] == sorted(rate.per_hour for rate in rates)


def test_unknown_class_says_so_and_spans_all_others() -> None:
    """From never to what recorded traces saw."""
    unknown = reclaim_rate("")
    assert unknown.origin == "estimated"
    assert unknown.low == 0
    assert unknown.high > max(reclaim_rate(name).high for name in CLASSES)


def test_what_was_seen_is_surer_the_longer_one_looked() -> None:
    """One reclaim in twenty hours and a hundred in two thousand are one rate, with other intervals."""
    short, long = seen_rate(1, 20.0), seen_rate(100, 2000.0)
    assert short.per_hour == long.per_hour == 0.05
    assert 0 < short.low < long.low < 0.05 < long.high < short.high
    assert short.origin == "measured"


def test_nothing_seen_is_no_promise() -> None:
    """A hundred hours without a reclaim leave room for one in thirty-some hours."""
    none = seen_rate(0, 100.0)
    assert (none.per_hour, none.low) == (0.0, 0.0)
    assert 0.02 < none.high < 0.03
