"""`spotrender nightly run`: looks at every entry, starts what is due, and resumes what lost its driver."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from infra.process_identity import is_gone, this_process
from jobs.nightly.deciding import Decision, as_seen, decide
from jobs.nightly.nightly_file import Entry, NightlyFile
from jobs.nightly.schedule import Now
from jobs.nightly.state import EntryBook, EntryState, Run
from jobs.terminal_text import printable
from jobs.watching.listing import read_job
from jobs.watching.status import view
from jobs.wiring import open_store
from pipeline.driving.lease_state import Owner
from pipeline.errors import JobRefusedError, RetriedError, UserError
from pipeline.job import JobState
from pipeline.news import Occasion
from pipeline.ports import Clock, Store
from pipeline.status import read_status

EXIT_UNEXPECTED = 1
EXIT_USER = 2

POLL_SECONDS = 2.0
"""How often `--wait` looks."""

STARTING_MINUTES = 60
"""A run of another machine that has no job after so long has lost its process."""

CANCELING_MINUTES = 30
"""So long `--wait` waits for a canceled job to make room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was done about one run."""

    entry: str
    action: str
    """`started`, `resumed`, `left out`, `waits`, `ended`, or `trouble`."""
    due: datetime | None
    job: str
    state: str
    message: str


class Child(Protocol):
    """A process that sees to one run."""

    @property
    def owner(self) -> Owner:
        """Who it is."""

    def ended(self) -> bool:
        """Whether it is over."""


Launch = Callable[[str, datetime], Child]
"""Starts the process of a run: name of the entry, and when the run was due."""


class Caller:
    """One call of `nightly run`.

    Args:
        file: the entries.
        store: where their state is.
        launch: starts processes.
        now: the wall clock.
        clock: waits.
        say: told what is done, as it is done.
    """

    def __init__(
        self, file: NightlyFile, store: Store, *, launch: Launch, now: Now, clock: Clock, say: Callable[[Told], None]
    ) -> None:
        self._file, self._store, self._launch, self._now, self._clock, self._say = file, store, launch, now, clock, say
        self._children: dict[tuple[str, datetime], Child] = {}
        self._told: set[Told] = set()
        self.exit_code = 0
        """Whether an entry could not be looked at: 2 where something must be mended, 1 where it may go away."""
        self._began = now()

    def look(self) -> bool:
        """Look at every entry once; whether something waits for a job that this call canceled."""
        waits = [self._look_safely_at(entry) for entry in self._file.nightly]
        self._tell_digests()
        return any(waits)

    def wait(self) -> list[Run]:
        """Stay until all that this call started has ended, and what was due at its beginning was started; the runs."""
        until = self._clock.now_ns() + CANCELING_MINUTES * 60 * 10**9
        while True:
            before, busy = len(self._children), self._busy()
            canceling = self.look() and self._clock.now_ns() < until
            if not busy and not canceling and len(self._children) == before:
                break
            self._sleep()
        return [run for name, due in self._children if (run := self._ended(name, due)) is not None]

    def _ended(self, name: str, due: datetime) -> Run | None:
        """What came of a run that this call started, told."""
        state = EntryBook(self._store, name).read()
        run = None if state is None else state.run(due)
        if run is not None and not run.live:
            self._tell(self._file.entry(name), "ended", due, job=run.job, state=run.state, message=run.message)
        return run

    def _sleep(self) -> None:
        """Wait a little. On Ctrl-C, which reaches our processes too, until they have finished their batches."""
        try:
            self._clock.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            while self._busy():
                self._clock.sleep(POLL_SECONDS)
            raise

    def _look_safely_at(self, entry: Entry) -> bool:
        """Look at one entry; what is wrong with it is told, and keeps no other from being looked at."""
        try:
            return self._look_at(entry)
        except (UserError, RetriedError) as error:
            self.exit_code = max(self.exit_code, EXIT_USER if isinstance(error, UserError) else EXIT_UNEXPECTED)
            self._tell(entry, "trouble", None, message=str(error))
            return False

    def _busy(self) -> bool:
        """Whether a process of this call still runs."""
        return any(not child.ended() for child in self._children.values())

    def _look_at(self, entry: Entry) -> bool:
        book = EntryBook(self._store, entry.name)
        state = book.read()
        for run in state.live if state else ():
            self._see_to(entry, book, run)
        decided = Decision()

        def make(state: EntryState | None) -> EntryState:
            nonlocal decided
            state = as_seen(state, self._began)
            decided = decide(entry, state, self._began)
            chosen = decided.start or decided.skip
            if chosen is None:
                return state
            run = Run(due=chosen, started_at=self._now(), owner=this_process(), missed=decided.missed)
            if decided.skip is not None:
                run = replace(run, state="SKIPPED", message=decided.why, ended_at=run.started_at)
            return state.having(run)

        book.change(make)
        self._act(entry, book, decided)
        return bool(decided.cancel)

    def _act(self, entry: Entry, book: EntryBook, decided: Decision) -> None:
        """What follows from a decision that stands in the book."""
        if decided.start is not None:
            self._tell(entry, "started", decided.start, state="STARTING", message=_missed(decided.missed))
            self._begin(entry, book, decided.start)
        elif decided.skip is not None:
            self._tell(entry, "left out", decided.skip, state="SKIPPED", message=decided.why)
            if decided.newly_spent:
                self._tell_of_budget(entry, decided.why)
        elif decided.why:
            self._tell(entry, "waits", None, message=decided.why)
        for job in decided.cancel:
            self._cancel(book, job)

    def _tell_digests(self) -> None:
        """Once a day, whoever wants it hears what came of the runs; what keeps them from it keeps nobody else."""
        from jobs.nightly.digest import tell_digests

        with suppress(UserError, RetriedError):
            tell_digests(self._file, self._store, now=self._now())

    def _tell_of_budget(self, entry: Entry, why: str) -> None:
        """Those whom the entry names hear that nothing more is started this month."""
        from jobs.nightly.nightly_news import tell_of_run

        tell_of_run(
            entry, Occasion.BUDGET, subject=why, title="the budget of the month is spent", text=why, now=self._now()
        )

    def _cancel(self, book: EntryBook, job: str) -> None:
        """Order a job to end; one that has ended meanwhile will do as well."""
        from jobs.controlling import cancel

        state = book.read()
        run = next((one for one in (state.live if state else ()) if one.job == job), None)
        if run is not None:
            try:
                cancel(open_store(run.store), job, clock=self._clock)
            except JobRefusedError:
                return

    def _begin(self, entry: Entry, book: EntryBook, due: datetime) -> None:
        """Start the process of a run."""
        child = self._launch(entry.name, due)
        self._children[entry.name, due] = child
        if not child.ended():
            book.note(due, owner=child.owner)

    def _see_to(self, entry: Entry, book: EntryBook, run: Run) -> None:
        """End a run whose job has ended, and resume one that lost its driver."""
        if run.job:
            store = open_store(run.store)
            status = read_status(store, run.job)
            if status is not None and datetime.fromisoformat(status.updated_at) >= run.started_at:
                over = status.state.terminal or status.state is JobState.PAUSED
                if over and not self._ours(entry, run):
                    book.end(run.due, status, now=self._now())
                    self._tell(entry, "ended", run.due, job=run.job, state=status.state.value, message=status.message)
                    return
            silent = view(read_job(store, run.job), status, now=self._now()).silent_since is not None
        else:
            silent = self._now() - run.started_at > timedelta(minutes=STARTING_MINUTES)
        local = run.owner.host == this_process().host and not is_gone(run.owner)
        if not (is_gone(run.owner) or (silent and not local)) or (entry.name, run.due) in self._children:
            return
        taken = False

        def take(state: EntryState | None) -> EntryState | None:
            nonlocal taken
            now_there = None if state is None else state.run(run.due)
            taken = now_there is not None and now_there.live and now_there.owner == run.owner
            if state is None or now_there is None or not taken:
                return None
            return state.having(replace(now_there, owner=this_process()))

        book.change(take)
        if taken:
            self._tell(entry, "resumed", run.due, job=run.job, state=run.state, message=f"{run.owner} is gone")
            self._begin(entry, book, run.due)

    def _ours(self, entry: Entry, run: Run) -> bool:
        """Whether a process of this call still sees to it."""
        child = self._children.get((entry.name, run.due))
        return child is not None and not child.ended()

    def _tell(
        self, entry: Entry, action: str, due: datetime | None, *, job: str = "", state: str = "", message: str = ""
    ) -> None:
        told = Told(entry=entry.name, action=action, due=due, job=job, state=state, message=message)
        if told not in self._told:
            self._told.add(told)
            self._say(told)


def _missed(number: int) -> str:
    """What is said of runs that nobody makes up for."""
    if not number:
        return ""
    return f"{number}{' or more' if number >= 999 else ''} before it {'was' if number == 1 else 'were'} missed"


def exit_code(runs: Sequence[Run]) -> int:
    """Of several runs the highest: 2 where something must be mended, 1 for what is unexpected, else the job's."""
    return max([0, *(_code(run.state) for run in runs)])


def _code(state: str) -> int:
    if state in {"REFUSED", "FAILED"}:
        return EXIT_USER if state == "REFUSED" else EXIT_UNEXPECTED
    return JobState(state).exit_code if state in set(JobState) else EXIT_UNEXPECTED


def told_text(told: Told) -> str:
    """One line for a person."""
    due = f" (due {told.due.isoformat(timespec='minutes')})" if told.due else ""
    rest = f": {told.message.splitlines()[0]}" if told.message else ""
    return printable(
        f"{told.entry} {told.action}{due}{f' {told.job}' if told.job else ''} {told.state}".rstrip() + rest
    )
