"""What is to be done about an entry now: pure, so that every clock and every past can be tried.

The clock may jump. What was done for an instant is never done again, however often the clock comes by; runs that a
clock far ahead has started do not count before their time; and a jump forward is an outage like any other.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobs.nightly.nightly_file import Entry
from jobs.nightly.state import EntryState, month_of

_COUNTED = 1000
"""Instants that are counted one by one; beyond that the number is a lower bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """At most one thing is started or left out at a time."""

    start: datetime | None = None
    """Start the run that was due then."""
    skip: datetime | None = None
    """Leave out the run that was due then, and all before it."""
    cancel: tuple[str, ...] = ()
    """Cancel these jobs, so that there is room."""
    missed: int = 0
    """Runs before the one started or left out that nobody will make up for."""
    why: str = ""
    """Why something is left out, or waits."""
    newly_spent: bool = False
    """Left out as the month's budget is spent, for the first time since it is."""


def as_seen(state: EntryState | None, now: datetime) -> EntryState:
    """The state of an entry that may be new, or was first seen by a clock that was ahead: it begins now."""
    if state is None:
        return EntryState(since=now)
    return replace(state, since=min(state.since, now))


def decide(entry: Entry, state: EntryState, now: datetime) -> Decision:
    """What is to be done at this instant.

    Args:
        entry: its rules.
        state: what is known of its runs.
        now: by the wall clock.
    """
    after = max([state.since, *(run.due for run in state.runs if run.due <= now)])
    due = entry.schedule.latest(after=after, until=now, most=_COUNTED)
    if not due:
        return Decision()
    newest_alone = entry.catch_up.mode != "all" or entry.concurrency == "replace"
    chosen = due[-1] if newest_alone else due[-entry.catch_up.limit :][0]
    missed = due.index(chosen)
    late = now - _ready_at(state, chosen, now)
    if entry.catch_up.mode == "none" and late > timedelta(minutes=entry.missed_after_minutes):
        return Decision(
            skip=chosen, missed=missed, why=f"missed: nobody looked until {now.isoformat(timespec='minutes')}"
        )
    if not state.live and (spent := _spent_budget(entry, state, now)):
        told = bool(state.runs) and state.runs[-1].message == spent
        return Decision(skip=chosen, missed=missed, why=spent, newly_spent=not told)
    if not state.live:
        return Decision(start=chosen, missed=missed)
    going = state.live[-1]
    named = going.job or f"the run of {going.due.isoformat(timespec='minutes')}"
    if entry.concurrency == "replace":
        jobs = tuple(run.job for run in state.live if run.job)
        return Decision(cancel=jobs, why=f"waits for {named} to be canceled")
    if entry.concurrency == "forbid" and going.started_at <= chosen:
        return Decision(skip=chosen, missed=missed, why=f"{named} still goes on")
    return Decision(why=f"waits for {named}")


def _spent_budget(entry: Entry, state: EntryState, now: datetime) -> str:
    """Why nothing more may begin in this month; empty while something may."""
    limit, month = entry.budget.usd_per_month, month_of(now)
    spent = state.spent_in(month)
    if limit is None or spent < limit:
        return ""
    return (
        f"${spent:.2f} were spent in {month}, and budget.usd_per_month is ${limit:f}; raise it, or wait for next month"
    )


def _ready_at(state: EntryState, due: datetime, now: datetime) -> datetime:
    """When a run could begin at the earliest: when it was due, or when those that it waits for have ended."""
    spans = ((run.started_at, run.ended_at or now) for run in state.runs)
    return max([due, *(end for start, end in spans if start <= due <= end)])
