"""What is done about an entry: missed runs, runs that are too long, and clocks that jump, on a manual clock."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from infra.stores.memory import MemoryStore
from jobs.nightly.deciding import as_seen, decide
from jobs.nightly.nightly_file import Entry
from jobs.nightly.state import KEPT, NOBODY, EntryBook, EntryState, Run

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def entry(**values: object) -> Entry:
    """An entry that is due every hour."""
    return Entry.model_validate({"name": "e", "cron": "0 * * * *", "job": "job.yaml"} | values)


class Night:
    """An entry, its state, and a clock; jobs take as long as they are told."""

    def __init__(self, rules: Entry, *, hours: float = 0.1) -> None:
        self.rules = rules
        self.hours = hours
        self.now = START
        self.state = EntryState(since=START)
        self.ends: dict[datetime, datetime] = {}
        self.started: list[datetime] = []
        self.skipped: list[datetime] = []

    def call(self) -> None:
        """What one call of `nightly run` does to the state."""
        for run in self.state.live:
            if self.ends[run.due] <= self.now:
                self._put(run, ended_at=self.ends[run.due])
        self.state = as_seen(self.state, self.now)
        decided = decide(self.rules, self.state, self.now)
        if decided.cancel:
            for run in self.state.live:
                self.ends[run.due] = self.now
        chosen = decided.start or decided.skip
        if chosen is None:
            return
        assert self.state.run(chosen) is None, "the same instant twice"
        assert chosen <= self.now
        run = Run(due=chosen, started_at=self.now, owner=NOBODY, job=f"job-{chosen:%d%H}", missed=decided.missed)
        if decided.skip:
            self.skipped.append(chosen)
            self._put(run, ended_at=self.now)
        else:
            assert not self.state.live, "two runs of one entry at once"
            self.started.append(chosen)
            self.ends[chosen] = self.now + self.hours * HOUR
            self._put(run, ended_at=None)

    def go(self, hours: float, *, minutes: int = 5) -> "Night":
        """Let time pass, with a call every few minutes."""
        end = self.now + hours * HOUR
        while self.now < end:
            self.now += timedelta(minutes=minutes)
            self.call()
        return self

    def sleep(self, hours: float) -> "Night":
        """Let time pass with nobody looking; a negative number is a clock that is put back."""
        self.now += hours * HOUR
        return self

    def hours_started(self) -> list[int]:
        """Hours after the beginning at which started runs were due."""
        return [round((one - START) / HOUR) for one in self.started]

    def hours_skipped(self) -> list[int]:
        """The same for what was left out."""
        return [round((one - START) / HOUR) for one in self.skipped]

    def _put(self, run: Run, *, ended_at: datetime | None) -> None:
        values = {name: getattr(run, name) for name in Run.__slots__} | {"ended_at": ended_at}
        self.state = self.state.having(Run(**values))


def test_what_is_due_is_started_once() -> None:
    """A new entry makes up for nothing that was before it."""
    assert Night(entry()).go(3.5).hours_started() == [1, 2, 3]


def test_missed_runs_are_left_out_made_up_for_once_or_all() -> None:
    """After a night without a machine: nothing, the newest, or the newest so many in order."""
    assert Night(entry(catch_up="none")).sleep(5.99).go(1.5).hours_started() == [6, 7]
    assert Night(entry(catch_up="none", missed_after_minutes=10)).sleep(5.5).go(0.4).hours_started() == []
    last = Night(entry(catch_up="last")).sleep(5.5).go(0.4)
    assert last.hours_started() == [5]
    assert last.state.runs[0].missed == 4
    assert Night(entry(catch_up={"all": 3}, concurrency="forbid")).sleep(5.5).go(0.4).hours_started() == [3, 4, 5]


def test_a_run_longer_than_its_period_is_forbidden_queued_or_replaced() -> None:
    """Runs of two hours and a half that are due every hour."""
    forbid = Night(entry(concurrency="forbid"), hours=2.5).go(6.2)
    assert (forbid.hours_started(), forbid.hours_skipped()) == ([1, 4], [2, 3, 5, 6])
    assert Night(entry(concurrency="queue"), hours=2.5).go(6.2).hours_started() == [1, 3, 6]
    assert Night(entry(concurrency="queue", catch_up="all"), hours=2.5).go(8.9).hours_started() == [1, 2, 3, 4]
    assert Night(entry(concurrency="replace"), hours=2.5).go(4.2).hours_started() == [1, 2, 3, 4]


def test_what_waited_in_a_queue_was_not_missed() -> None:
    """`catch_up: none` is about nobody looking, not about a run that had to wait."""
    rules = entry(concurrency="queue", catch_up="none", missed_after_minutes=10)
    assert Night(rules, hours=1.5).go(4.9).hours_started() == [1, 2, 4]


def test_a_clock_that_is_put_back_repeats_nothing() -> None:
    """Five hours back: nothing runs a second time, and what is due later comes when it is due."""
    night = Night(entry()).go(3.5).sleep(-2.5).go(3)
    assert night.hours_started() == [1, 2, 3, 4]


def test_a_clock_that_was_far_ahead_does_not_stop_the_schedule() -> None:
    """A year ahead and back again: one run there, and then the hours go on."""
    night = Night(entry()).go(1.5).sleep(24 * 365).go(0.2).sleep(-24 * 365).go(1.5)
    assert night.hours_started() == [1, 24 * 365 + 1, 2, 3]


def test_a_year_without_anybody_is_decided_at_once() -> None:
    """Every minute for a year, and only so many are looked at."""
    night = Night(entry(cron="* * * * *", catch_up={"all": 2})).sleep(24 * 365)
    night.call()
    assert night.started == [night.now - timedelta(minutes=1)]
    assert night.state.runs[0].missed == 998


def costing(night: Night, usd: str) -> Night:
    """The last run cost so much."""
    last = night.state.runs[-1]
    values = {name: getattr(last, name) for name in Run.__slots__}
    night.state = night.state.having(Run(**values | {"ended_at": night.now, "usd": Decimal(usd)}))
    return night


def test_month_whose_budget_is_spent_starts_no_more_runs() -> None:
    """Two of $6 are more than $10: no other begins till the month is over, or the budget is raised."""
    rules = {"cron": "0 0 * * *", "budget": {"usd_per_month": Decimal(10)}}
    night = Night(entry(**rules))
    for _ in range(2):
        costing(night.go(24, minutes=60), "6")
    assert night.go(24 * 3, minutes=60).hours_started() == [12, 36]
    assert night.hours_skipped() == [60, 84, 108]
    decided = decide(night.rules, night.state, datetime(2026, 11, 30, tzinfo=UTC))
    assert decided.why.startswith("$12.00 were spent in 2026-11, and budget.usd_per_month is $10; raise it")
    night.rules = entry(**rules | {"budget": {"usd_per_month": Decimal(20)}})
    assert night.go(24, minutes=60).hours_started()[2:] == [132]
    night.rules = entry(**rules)
    december = [one for one in night.go(24 * 8, minutes=60).started if one.month == 12]
    assert december[0] == datetime(2026, 12, 1, tzinfo=UTC)


def test_forgotten_runs_still_count() -> None:
    """Only the last hundred are kept one by one; what the others cost is not forgotten, through JSON too."""
    night = Night(entry(cron="*/5 * * * *"))
    for _ in range(130):
        costing(night.go(5 / 60), "0.25")
    assert len(night.state.runs) == KEPT
    assert night.state.spent_in("2026-11") == Decimal("0.25") * 130
    assert night.state.spent_in("2026-12") == 0
    book = EntryBook(MemoryStore("memory:forgotten"), "e")
    book.change(lambda _: night.state)
    assert book.read() == night.state


def test_only_what_a_run_itself_cost_counts() -> None:
    """A job that several runs share has accrued what all of them cost; one that goes on is not known yet."""
    shared = Run(due=START, started_at=START, owner=NOBODY, usd=Decimal(7), usd_before=Decimal(5), ended_at=START)
    assert shared.cost_usd == 2
    values = {name: getattr(shared, name) for name in Run.__slots__}
    assert Run(**values | {"ended_at": None}).cost_usd == 0


PASTS = st.lists(st.tuples(st.sampled_from(["go", "sleep"]), st.floats(-3, 6)), min_size=1, max_size=6)


@given(
    st.sampled_from(["forbid", "queue", "replace"]),
    st.sampled_from(["none", "last", "all", {"all": 2}]),
    st.sampled_from(["0 * * * *", "*/20 * * * *", "30 */2 * * *"]),
    st.floats(0.05, 3),
    PASTS,
)
def test_no_past_makes_a_run_twice_or_two_at_once(
    concurrency: str, catch_up: object, cron: str, hours: float, past: list[tuple[str, float]]
) -> None:
    """Whatever clock and callers do; and when they behave again, the next hours are served."""
    night = Night(entry(concurrency=concurrency, catch_up=catch_up, cron=cron), hours=hours)
    for what, length in past:
        if what == "go" and length > 0:
            night.go(length, minutes=20)
        else:
            night.sleep(length)
    night.now = max([night.now, *night.ends.values()])
    before = len(night.started)
    night.go(7, minutes=20)
    assert len(night.started) > before
    assert len(set(night.started)) == len(night.started)
    assert not set(night.started) & set(night.skipped)
