"""What will run and what ran: `spotrender nightly next` and `list`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from zoneinfo import ZoneInfo

from jobs.nightly.nightly_file import Entry, NightlyFile
from jobs.nightly.state import EntryBook, Run
from jobs.terminal_text import dollars, printable
from pipeline.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """One run to be."""

    entry: str
    due: datetime
    """UTC."""
    local: str
    """By the entry's clocks."""
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """One run that was started or left out."""

    entry: str
    due: datetime
    local: str
    state: str
    job: str
    images: int
    usd: Decimal
    missed: int
    """Runs before it that nobody made up for."""
    message: str
    started_at: datetime
    ended_at: datetime | None


def coming_runs(file: NightlyFile, *, now: datetime, each: int) -> list[Coming]:
    """The next runs of every entry, the soonest first."""
    found = [
        Coming(entry=entry.name, due=due, local=_local(due, entry.schedule.zone), timezone=entry.timezone)
        for entry in file.nightly
        for due in islice(entry.schedule.upcoming(now), each)
    ]
    return sorted(found, key=lambda one: one.due)


def past_runs(file: NightlyFile, store: Store, *, each: int) -> list[Past]:
    """The last runs of every entry, the newest first."""
    found: list[Past] = []
    for entry in file.nightly:
        state = EntryBook(store, entry.name).read()
        found.extend(_past(entry, run) for run in (state.runs[-each:] if state else ()))
    return sorted(found, key=lambda one: one.due, reverse=True)


def _past(entry: Entry, run: Run) -> Past:
    return Past(
        entry=entry.name,
        due=run.due,
        local=_local(run.due, entry.schedule.zone),
        state=run.state,
        job=run.job,
        images=run.images,
        usd=run.usd,
        missed=run.missed,
        message=run.message,
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def coming_text(runs: Sequence[Coming]) -> str:
    """A line for each run."""
    width = max((len(one.entry) for one in runs), default=0)
    return "\n".join(f"{one.local} {one.timezone}  {one.entry:<{width}}" for one in runs) or "nothing will run"


def past_text(runs: Sequence[Past]) -> str:
    """A line for each run, and one more where there is something to say."""
    lines = []
    for one in runs:
        figures = f"  {one.images:,} images, {dollars(one.usd)}" if one.job else ""
        missed = f"  ({one.missed} missed before it)" if one.missed else ""
        lines.append(printable(f"{one.local}  {one.entry}  {one.state}  {one.job}{figures}{missed}".rstrip()))
        if one.message:
            lines.append(f"  {printable(one.message.splitlines()[0], most=160)}")
    return "\n".join(lines) or "nothing has run yet"


def _local(due: datetime, zone: ZoneInfo) -> str:
    """`2026-11-21 02:00`."""
    return due.astimezone(zone).strftime("%Y-%m-%d %H:%M")
