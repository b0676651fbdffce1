"""When an entry is due: across days on which clocks change, forwards and backwards."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.nightly.nightly_file import seed_of
from jobs.nightly.schedule import Schedule, cron_problem

SPRING = datetime(2026, 3, 28, 12, tzinfo=UTC)
"""The day before Berlin's clocks go from 02:00 to 03:00."""

AUTUMN = datetime(2026, 10, 24, 12, tzinfo=UTC)
"""The day before they go from 03:00 back to 02:00."""


def schedule(cron: str, zone: str = "Europe/Berlin") -> Schedule:
    """A schedule."""
    return Schedule(cron=cron, zone=ZoneInfo(zone))


def due(cron: str, after: datetime, hours: int = 48) -> list[str]:
    """When it is due in the hours after an instant: day and time in UTC."""
    found = schedule(cron).latest(after=after, until=after + timedelta(hours=hours), most=1000)
    return [one.strftime("%d %H:%M") for one in found]


def test_a_time_that_does_not_exist_comes_at_the_end_of_the_gap() -> None:
    """Half past two on the day of the gap is three o'clock, and half past two again on the next."""
    assert due("30 2 * * *", SPRING) == ["29 01:00", "30 00:30"]


def test_a_time_that_comes_twice_comes_once() -> None:
    """The first time."""
    assert due("30 2 * * *", AUTUMN) == ["25 00:30", "26 01:30"]


def test_what_comes_every_hour_follows_real_time() -> None:
    """24 hours hold 24 runs, whatever clocks show."""
    for day in (SPRING, AUTUMN):
        assert len(due("30 * * * *", day, hours=24)) == 24


def test_a_deadline_is_the_next_such_time_by_the_entrys_clocks() -> None:
    """On the same morning, or on the next; a time in the gap is its end."""
    berlin = schedule("0 0 * * *")
    assert berlin.next_time(datetime(2026, 11, 21, 1, tzinfo=UTC), time(7)) == datetime(2026, 11, 21, 6, tzinfo=UTC)
    assert berlin.next_time(datetime(2026, 11, 21, 6, tzinfo=UTC), time(7)) == datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert berlin.next_time(datetime(2026, 3, 28, 23, tzinfo=UTC), time(2, 30)) > datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("61 * * * *", '"61 * * * *": bad minute'),
        ("* * *", "must have five fields"),
        ("* * * * * *", "must have five fields"),
        ("@daily", "must be five fields"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("a b c d e", "bad minute"),
    ],
)
def test_expressions_that_make_no_sense_are_told(cron: str, said: str) -> None:
    """Each with an example of one that does."""
    problem = cron_problem(cron)
    assert problem is not None
    assert said in problem
    assert '"0 2 * * *"' in problem


def test_seeds_of_runs_do_not_overlap() -> None:
    """Runs of two days, or ten minutes apart, have 10,000 seeds each."""
    first = datetime(2026, 11, 21, 1, tzinfo=UTC)
    seeds = [seed_of(first + timedelta(minutes=10 * step)) for step in range(300)]
    assert min(abs(one - other) for one, other in pairwise(seeds)) >= 10_000
    assert max(seeds) < 2**31


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "30", "*/15", "5,35", "0-10/5"]),
    st.sampled_from(["*", "2", "0-3", "*/2", "1,2,3", "23"]),
    st.sampled_from(["*", "1", "29", "L"]),
    st.sampled_from(["*", "3", "10,11"]),
    st.sampled_from(["*", "SUN", "1-5"]),
).map(" ".join)

ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])


MINUTES = st.integers(0, 366 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)


@given(FIELDS, ZONES, MINUTES, st.integers(1, 60))
def test_looking_back_finds_what_looking_ahead_did(cron: str, zone: str, start: datetime, hours: int) -> None:
    """The instants of a span are the same from both ends, in order, within it, and none comes twice."""
    end = start + timedelta(hours=hours)
    made = schedule(cron, zone)
    ahead = list(takewhile(lambda one: one <= end, made.upcoming(start)))
    assert made.latest(after=start, until=end, most=10_000) == ahead
    assert ahead == sorted(set(ahead))
    assert made.latest(after=start, until=end, most=3) == ahead[-3:]
