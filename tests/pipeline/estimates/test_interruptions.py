"""Rates of reclaims from classes: in order, inside their class after a month, and wide where nobody told."""

import math

from pipeline.estimates.interruptions import CLASSES, HOURS_A_MONTH, reclaim_rate


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
