"""What of a driver's statuses is told, and when: pure, so the statuses are made here."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.driving.news_watch import NewsWatch
from pipeline.job import JobState, Settings
from pipeline.news import News, Occasion
from pipeline.status import Status, starting_status

BEGAN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
NO_LIMITS = Settings(nodes=())


def status(minutes: float = 0, **values: Any) -> Status:
    """A job of 1,000 images, so many minutes after its driver began."""
    start = starting_status("demo", total=1000, earlier=None, now=BEGAN.isoformat(), fence=3)
    now = (BEGAN + timedelta(minutes=minutes)).isoformat()
    return replace(start, **({"state": JobState.RUNNING, "phase": "rendering", "updated_at": now} | values))


def heard(*statuses: Status, limits: Settings = NO_LIMITS) -> list[News]:
    """What one driver tells that gives these statuses."""
    told: list[News] = []
    watch = NewsWatch(told.append)
    for one in statuses:
        watch.look(one, limits)
    return told


def occasions(told: list[News]) -> list[Occasion]:
    """Why something was told, in order."""
    return [news.occasion for news in told]


def test_job_in_peace_is_told_at_its_beginning_and_its_end() -> None:
    """However often its status is looked at."""
    end = status(9, state=JobState.SUCCEEDED, phase="finished", rendered=1000, usd=Decimal("3.208"), seconds=540.2)
    start = starting_status("demo", total=1000, earlier=None, now=BEGAN.isoformat(), fence=3)
    told = heard(start, *[status(n, rendered=n * 100) for n in range(9)] * 2, end, end)
    assert occasions(told) == [Occasion.STARTED, Occasion.FINISHED]
    assert told[1].title == "demo: SUCCEEDED"
    assert "1,000 of 1,000 images: 1,000 rendered" in told[1].text
    assert "$3.21 in 0:09:00" in told[1].text
    assert told[1].facts["usd"] == "3.208"
    assert told[1].facts["state"] == "SUCCEEDED"


@pytest.mark.parametrize("state", [JobState.STOPPED, JobState.COMPLETED_WITH_FAILURES, JobState.CANCELED])
def test_every_other_end_is_a_failure_with_its_reason(state: JobState) -> None:
    """As the status says it."""
    (news,) = heard(status(state=state, message="the deadline has passed; submit again"))
    assert (news.occasion, news.title) == (Occasion.FAILED, f"demo: {state}")
    assert news.text.startswith("the deadline has passed; submit again\n")


def test_pause_is_not_told() -> None:
    """Whoever paused the job knows."""
    paused = status(2, state=JobState.PAUSED, phase="paused")
    assert occasions(heard(status(1, rendered=1), paused)) == [Occasion.STARTED]
    assert heard(paused) == [], "a driver that finds the job paused has not begun"


def test_job_with_nothing_to_render_does_not_start() -> None:
    """All was reused, or done before."""
    assert occasions(heard(status(reused=1000), status(state=JobState.SUCCEEDED, reused=1000))) == [Occasion.FINISHED]


def test_next_driver_tells_again_under_ids_that_say_so() -> None:
    """A start is a driver's; a budget and first failures are the job's, told twice with one id at most."""
    limit = Settings(nodes=(), budget_usd=Decimal(10))
    first = heard(status(), status(1, usd=Decimal(9), failed=1), limits=limit)
    second = heard(status(fence=4), status(1, usd=Decimal(9), failed=1, fence=4), limits=limit)
    assert occasions(first) == occasions(second) == [Occasion.STARTED, Occasion.FAILURES, Occasion.BUDGET]
    assert [one.id == other.id for one, other in zip(first, second, strict=True)] == [False, True, True]


def test_budget_is_told_at_four_fifths_and_once_for_each_budget() -> None:
    """A raised one is told anew."""
    told: list[News] = []
    watch = NewsWatch(told.append)
    for usd, budget in [("7.99", 10), ("8", 10), ("9", 10), ("10", 10), ("10", 20), ("16", 20)]:
        watch.look(status(usd=Decimal(usd)), Settings(nodes=(), budget_usd=Decimal(budget)))
    assert occasions(told) == [Occasion.STARTED, Occasion.BUDGET, Occasion.BUDGET]
    assert told[1].title == "demo: 80 % of the budget of $10 is spent"
    assert "budget.usd=" in told[1].text


def test_budget_of_the_month_is_told_once_a_month() -> None:
    """Of all jobs of the name; one whose driver does not know of others says nothing."""
    limits = Settings(nodes=(), usd_per_month=Decimal(400))
    spent = [status(usd=Decimal(9), month_usd=Decimal(usd)) for usd in (319, 321, 390)]
    told = heard(status(usd=Decimal(9)), *spent, limits=limits)
    assert occasions(told) == [Occasion.STARTED, Occasion.BUDGET]
    assert told[1].title == "demo: 80 % of the month's budget of $400 is spent"


def test_deadline_follows_what_the_driver_knows_of_its_nodes() -> None:
    """It knows what may still come: a slow minute while the reserve starts is no alarm, a word of its own is one."""
    limits = Settings(nodes=(), deadline=BEGAN + timedelta(hours=1))
    slow = [status(n, rendered=n, images_per_second=0.01, on_time=True) for n in range(9)]
    late = status(9, rendered=9, on_time=False, outlook="the deadline cannot be met: 900 images will be missing")
    told = heard(*slow, late, limits=limits)
    assert occasions(told) == [Occasion.STARTED, Occasion.DEADLINE]
    assert told[1].text.startswith("The deadline cannot be met: 900 images will be missing.\n9 of 1,000 images")


def test_first_failures_are_told_once() -> None:
    """Not those that an earlier driver met."""
    told = heard(status(failed=2), status(failed=2), status(failed=3), status(failed=9))
    assert occasions(told) == [Occasion.STARTED, Occasion.FAILURES]
    assert told[1].title == "demo: 3 images have failed"


def test_failures_after_a_retry_are_told() -> None:
    """What is tried again does not count as failed before."""
    assert occasions(heard(status(failed=5), status(failed=0), status(failed=1)))[1:] == [Occasion.FAILURES]


def late(minutes: float, rendered: int, rate: float, **values: Any) -> Status:
    """A status with this pace."""
    return status(
        minutes, rendered=rendered, rendered_now=rendered, images_per_second=rate, **({"workers_ready": 2} | values)
    )


AT_SIX = Settings(nodes=(), deadline=BEGAN + timedelta(hours=4))
"""Needs 1,000 images in 14,400 s: 0.0694 images/s."""


def test_deadline_is_told_when_the_job_was_behind_for_a_minute() -> None:
    """With what is needed, what is measured, when it would end, and how many workers would make it."""
    told = heard(late(1, 1, 0.02), late(1.9, 3, 0.02), limits=AT_SIX)
    assert occasions(told) == [Occasion.STARTED]
    told = heard(late(1, 1, 0.02), late(1.9, 3, 0.02), late(2.1, 4, 0.02), late(9, 9, 0.02), limits=AT_SIX)
    assert occasions(told) == [Occasion.STARTED, Occasion.DEADLINE]
    assert "2026-11-21T06:00+00:00 is in danger" in told[1].title
    assert "996 images are left, which takes 0.0698 images/s; measured: 0.02 images/s" in told[1].text
    assert "it ends at 2026-11-21T15:52+00:00" in told[1].text
    assert "With 7 workers like the 2 that are ready it would make it" in told[1].text


def test_slow_moment_is_no_alarm() -> None:
    """The minute begins anew when the job catches up."""
    slow_and_fast = [late(n / 2, n, 0.02 if n % 2 else 0.2) for n in range(1, 40)]
    assert occasions(heard(*slow_and_fast, limits=AT_SIX)) == [Occasion.STARTED]


def test_deadline_that_is_moved_is_told_anew() -> None:
    """And one that nobody set is never missed."""
    told: list[News] = []
    watch = NewsWatch(told.append)
    for minutes, hours in [(1, 4), (3, 4), (5, 5), (7, 5), (9, 900)]:
        watch.look(late(minutes, 4, 0.02), Settings(nodes=(), deadline=BEGAN + timedelta(hours=hours)))
    watch.look(late(11, 4, 0.02), NO_LIMITS)
    assert occasions(told) == [Occasion.STARTED, Occasion.DEADLINE, Occasion.DEADLINE]


def test_drought_endangers_a_deadline_as_soon_as_the_average_says_so() -> None:
    """With nothing rendered in the last minute, all of the driver's time counts."""
    told = heard(late(60, 600, 0.0), late(62, 600, 0.0), limits=AT_SIX)
    assert occasions(told) == [Occasion.STARTED], "600 images in an hour would make it"
    told = heard(late(170, 600, 0.0), late(172, 600, 0.0), limits=AT_SIX)
    assert occasions(told) == [Occasion.STARTED, Occasion.DEADLINE]


def test_half_of_the_time_without_an_image_is_a_danger() -> None:
    """Before that nobody knows how fast it will be."""
    waiting = [status(minutes, message="no worker: waiting for capacity") for minutes in (1, 60, 119)]
    assert occasions(heard(*waiting, limits=AT_SIX)) == [Occasion.STARTED]
    told = heard(*waiting, status(121, message="no worker: waiting for capacity"), limits=AT_SIX)
    assert occasions(told) == [Occasion.STARTED, Occasion.DEADLINE]
    assert told[1].text.endswith("nothing was rendered yet. no worker: waiting for capacity")


def test_driver_that_ends_in_an_error_is_told() -> None:
    """With what to do."""
    told: list[News] = []
    NewsWatch(told.append).broke("demo", "the store does not answer", at=BEGAN.isoformat(), fence=3)
    assert occasions(told) == [Occasion.FAILED]
    assert "the store does not answer" in told[0].text
    assert "submit again" in told[0].text


@settings(max_examples=50)
@given(
    minutes=st.lists(st.floats(0, 1e5), max_size=4),
    rate=st.floats(0, 1e6) | st.just(5e-324),
    usd=st.decimals(0, 10**9, places=9),
    counts=st.tuples(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 2000)),
    workers=st.integers(0, 10_000),
)
def test_every_status_can_be_looked_at(
    minutes: list[float], rate: float, usd: Decimal, counts: tuple[int, int, int], workers: int
) -> None:
    """Whatever its figures are, and nothing is told twice."""
    limits = Settings(nodes=(), budget_usd=Decimal("0.000001"), deadline=BEGAN + timedelta(days=30))
    rendered, reused, failed = counts
    told = heard(
        *[
            late(n, rendered, rate, usd=usd, reused=reused, failed=failed, workers_ready=workers)
            for n in sorted(minutes)
        ],
        limits=limits,
    )
    assert len({news.id for news in told}) == len(told)
