"""The digest: once a day, after the runs of the night, what came of each since the last one, in one message.

It is told under an id that follows from its runs, and noted as told only when the receiver took it: so it is told at
least once, and again under the same id to whoever lost the answer.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from jobs.jobfile.notify import targets
from jobs.nightly.nightly_file import Entry, NightlyFile
from jobs.nightly.state import DigestState, EntryBook, EntryState, Run
from jobs.telling import tell_at_once
from jobs.terminal_text import dollars, printable
from pipeline.news import News, Occasion, news_of
from pipeline.ports import Store

AGAIN: Final = timedelta(hours=1)
"""After a receiver could not be told, it is tried again."""

_FIRST: Final = timedelta(days=1)
"""The first digest tells of runs that ended since."""

_MOST_LINES: Final = 60
_NAME: Final = "nightly"

Tell = Callable[[News, tuple[Mapping[str, Any], ...]], bool]
"""Tells receivers something; whether all of them took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One run of a digest."""

    entry: Entry
    run: Run


def tell_digests(
    file: NightlyFile,
    store: Store,
    *,
    now: datetime,
    tell: Tell = lambda news, notify: tell_at_once(news, notify, os.environ),
) -> None:
    """Tell what is to be told by now; each receiver hears of all entries that name it in one message.

    Args:
        file: its entries say who is told.
        store: where their state is.
        now: by the wall clock.
        tell: tells.

    Raises:
        JobRefusedError: an entry's state cannot be read.
        StoreUnavailableError: the store does not answer.
    """
    receivers: dict[str, Mapping[str, Any]] = {}
    hear_of: dict[str, list[Entry]] = {}
    for entry in file.nightly:
        for values in targets(entry.notify or ()):
            if Occasion.DIGEST.value in values["on"]:
                name = repr(sorted((key, value) for key, value in values.items() if key != "on"))
                receivers[name] = values
                hear_of.setdefault(name, []).append(entry)
    chosen = {entry.name: entry for entries in hear_of.values() for entry in entries}
    books = {name: EntryBook(store, name) for name in chosen}
    due = {name: runs for name, entry in chosen.items() if (runs := _claimed(entry, books[name], now))}
    failed: set[str] = set()
    for receiver, entries in hear_of.items():
        told = [Told(entry=entry, run=run) for entry in entries for run in due.get(entry.name, ())]
        if told and not tell(digest_of(told, now=now), (receivers[receiver],)):
            failed.update(entry.name for entry in entries)
    for name in due.keys() - failed:
        until = max(run.ended_at for run in due[name] if run.ended_at)
        books[name].change(lambda state, until=until: _noted(state, now, until))  # type: ignore[misc]


def digest_of(told: Sequence[Told], *, now: datetime) -> News:
    """One message about these runs."""
    told = sorted(told, key=lambda one: (one.run.due, one.entry.name))
    counts = Counter(one.run.state for one in told)
    images = sum(one.run.images for one in told)
    usd = sum((one.run.cost_usd for one in told), Decimal(0))
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    runs = "1 run" if len(told) == 1 else f"{len(told)} runs"
    lines = [_line(one) for one in told[:_MOST_LINES]]
    if len(told) > _MOST_LINES:
        lines.append(f"and {len(told) - _MOST_LINES} more; `spotrender nightly list` shows them")
    return news_of(
        _NAME,
        Occasion.DIGEST,
        subject="\n".join(f"{one.entry.name} {one.run.due.isoformat()}" for one in told),
        at=now.isoformat(),
        title=f"{runs}: {states}; {images:,} images, {dollars(usd)}",
        text="\n".join(lines),
        facts={
            "runs": [_facts(one) for one in told],
            "images": images,
            "usd": f"{usd:f}",
        },
    )


def _claimed(entry: Entry, book: EntryBook, now: datetime) -> tuple[Run, ...]:
    """The runs of an entry that are to be told now, by this caller alone; none while one of them goes on."""
    chosen: tuple[Run, ...] = ()

    def make(state: EntryState | None) -> EntryState | None:
        nonlocal chosen
        chosen = () if state is None else _due(entry, state, now)
        if state is None or not chosen:
            return None
        return replace(state, digest=replace(state.digest, tried=now))

    book.change(make)
    return chosen


def _due(entry: Entry, state: EntryState, now: datetime) -> tuple[Run, ...]:
    """The runs that ended since the last digest; none on the day of that one, or shortly after a try."""
    last, zone = state.digest, entry.schedule.zone
    today = now.astimezone(zone).date()
    soon = last.tried is not None and timedelta(0) <= now - last.tried < AGAIN
    if state.live or soon or (last.sent is not None and last.sent.astimezone(zone).date() == today):
        return ()
    since = last.until or now - _FIRST
    return tuple(run for run in state.runs if run.ended_at is not None and run.ended_at > since)


def _noted(state: EntryState | None, now: datetime, until: datetime) -> EntryState | None:
    return None if state is None else replace(state, digest=DigestState(sent=now, until=until))


def _line(one: Told) -> str:
    """`2026-11-21 02:00  catalogue  SUCCEEDED  1,200 images, $3.21`."""
    local = one.run.due.astimezone(one.entry.schedule.zone).strftime("%Y-%m-%d %H:%M")
    figures = f"  {one.run.images:,} images, {dollars(one.run.cost_usd)}" if one.run.job else ""
    missed = f"  ({one.run.missed} missed before it)" if one.run.missed else ""
    why = f": {one.run.message.splitlines()[0]}" if one.run.message else ""
    return printable(f"{local}  {one.entry.name}  {one.run.state}{figures}{missed}{why}", most=200)


def _facts(one: Told) -> dict[str, Any]:
    return {
        "entry": one.entry.name,
        "due": one.run.due.isoformat(),
        "state": one.run.state,
        "job": one.run.job,
        "images": one.run.images,
        "usd": f"{one.run.cost_usd:f}",
    }
