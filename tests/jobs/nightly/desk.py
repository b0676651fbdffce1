"""A folder with a nightly file, and a clock that tests move."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from infra.process_identity import this_process
from jobs.nightly.nightly_file import NightlyFile, load_nightly
from jobs.nightly.one_run import do_run
from jobs.nightly.running import Caller, Told
from jobs.nightly.state import EntryBook, Run
from jobs.wiring import open_store
from pipeline.clock import ManualClock
from pipeline.driving.lease_state import Owner
from pipeline.errors import UserError

JOB = """\
name: night-{date}
manifest: prompts-{date}.txt
model: synthetic
defaults: {seed: per_run, tags: {night: "{date}"}}
"""

NIGHTLY = """\
store: out
nightly:
  - name: cat
    cron: "0 2 * * *"
    timezone: Europe/Berlin
    job: job.yaml
    address: in-process
"""

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DUE = datetime(2026, 11, 21, 1, tzinfo=UTC)
"""Two o'clock in Berlin."""

GONE = replace(this_process(), born="0")
"""A process of this machine that is no more."""


class Started:
    """A run that was done on the spot, or only noted."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner

    def ended(self) -> bool:
        """It is over before it is asked."""
        return True


class Desk:
    """A folder with a nightly file, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOON
        self.told: list[Told] = []
        self.launched: list[datetime] = []
        self.write()

    def write(self, nightly: str = NIGHTLY, job: str = JOB, prompts: str = "a cat\na dog\n") -> None:
        """The user's files."""
        (self.folder / "nightly.yaml").write_text(nightly)
        (self.folder / "job.yaml").write_text(job)
        for day in (20, 21, 22, 23):
            (self.folder / f"prompts-2026-11-{day}.txt").write_text(prompts)

    @property
    def file(self) -> NightlyFile:
        """The nightly file."""
        return load_nightly(str(self.folder / "nightly.yaml"))

    @property
    def book(self) -> EntryBook:
        """The entry's state."""
        return EntryBook(open_store(self.file.store), "cat")

    def caller(self, launch: Callable[[str, datetime], Started]) -> Caller:
        """One call."""
        return Caller(
            self.file,
            open_store(self.file.store),
            launch=launch,
            now=lambda: self.now,
            clock=ManualClock(),
            say=self.told.append,
        )

    def call(self, *, at: datetime) -> list[Run]:
        """`nightly run --wait` at an instant, each run done in this process."""
        self.now = at
        return self.caller(self._do).wait()

    def only_start(self, *, at: datetime) -> None:
        """`nightly run` whose processes die at once, so that the runs stay open."""
        self.now = at

        def die(_name: str, due: datetime) -> Started:
            self.launched.append(due)
            self.book.note(due, owner=GONE)
            return Started(GONE)

        self.caller(die).look()

    def _do(self, name: str, due: datetime) -> Started:
        self.launched.append(due)
        with suppress(UserError):  # told in the book
            do_run(self.file, name, due, now=lambda: self.now)
        return Started(this_process())

    def runs(self) -> list[Run]:
        """What the book holds."""
        state = self.book.read()
        return list(state.runs) if state else []
