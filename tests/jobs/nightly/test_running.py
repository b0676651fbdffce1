"""`nightly run` over real jobs: what it starts, resumes, leaves out and tells, from files that users write."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.process_identity import this_process
from jobs.cli import run as command
from jobs.listing import list_jobs
from jobs.nightly.nightly_file import NightlyFile, load_nightly
from jobs.nightly.one_run import do_run
from jobs.nightly.running import Caller, Told, exit_code
from jobs.nightly.state import EntryBook, Run
from jobs.submit import submit as submit_job
from jobs.wiring import open_store
from pipeline.clock import ManualClock
from pipeline.errors import JobFileError, UserError
from pipeline.job import JobState
from pipeline.lease_state import Owner
from tests.infra.notifiers.receiver import receiver

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


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder in which an entry was seen for the first time at noon."""
    made = Desk(tmp_path)
    assert made.call(at=NOON) == []
    return made


def test_a_run_renders_its_own_day(desk: Desk) -> None:
    """Name, manifest and tags hold the date by the entry's clocks; every night has seeds of its own."""
    for day in range(2):
        (run,) = desk.call(at=DUE + timedelta(days=day, minutes=4))
        assert (run.state, run.images, run.due) == ("SUCCEEDED", 2, DUE + timedelta(days=day))
        assert run.job.startswith(f"night-2026-11-{21 + day}-")
    jobs = list_jobs(open_store(desk.file.store))
    assert [one.status.rendered for one in jobs if one.status] == [2, 2], "a static manifest made new images"
    assert [(told.action, told.state) for told in desk.told] == [("started", "STARTING"), ("ended", "SUCCEEDED")] * 2
    assert exit_code(desk.runs()) == 0


def test_nothing_due_does_nothing(desk: Desk) -> None:
    """Before two o'clock, and again after the run."""
    assert desk.call(at=DUE - timedelta(minutes=1)) == []
    assert len(desk.call(at=DUE)) == 1
    assert desk.call(at=DUE + timedelta(minutes=5)) == []
    assert desk.launched == [DUE]


def test_two_callers_at_once_start_one_run(desk: Desk) -> None:
    """Many callers in threads, all at two o'clock."""
    desk.now = DUE
    together = threading.Barrier(6)

    def launch(_name: str, due: datetime) -> Started:
        desk.launched.append(due)
        return Started(this_process())

    def call() -> None:
        caller = desk.caller(launch)
        together.wait()
        caller.look()

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.launched == [DUE]


def test_a_run_whose_process_died_is_begun_again(desk: Desk) -> None:
    """Before it had a job: the next call starts it, as what it was."""
    desk.only_start(at=DUE)
    assert desk.runs()[0].live
    (run,) = desk.call(at=DUE + timedelta(minutes=5))
    assert (run.state, run.due, run.images) == ("SUCCEEDED", DUE, 2)
    assert [told.action for told in desk.told] == ["started", "resumed", "ended"]


def test_a_job_that_lost_its_driver_is_resumed_from_the_store(desk: Desk) -> None:
    """Job file and manifest need not be there any more; a job that ended meanwhile is only noted."""
    desk.only_start(at=DUE)
    from jobs.nightly.nightly_file import job_of

    job_file = job_of(desk.file, desk.file.entry("cat"), DUE)
    done = submit_job(job_file, address="in-process")
    desk.book.note(DUE, job=done.job, store=job_file.store, state="RUNNING", started_at=NOON)
    (desk.folder / "prompts-2026-11-21.txt").unlink()
    assert desk.call(at=DUE + timedelta(minutes=5)) == []
    run = desk.runs()[0]
    assert (run.state, run.job, run.images) == ("SUCCEEDED", done.job, 2)
    assert [told.action for told in desk.told][-1] == "ended"


def test_a_run_that_lives_is_left_alone(desk: Desk) -> None:
    """A process of this machine that is there, and one of another machine that began a while ago."""
    desk.only_start(at=DUE)
    for owner in (this_process(), Owner(host="elsewhere", pid=1)):
        desk.book.note(DUE, owner=owner)
        assert desk.call(at=DUE + timedelta(minutes=30)) == []
    assert desk.call(at=DUE + timedelta(minutes=90)) != [], "after an hour without a job the other machine has lost it"


def test_what_must_be_mended_is_told_and_not_tried_again(desk: Desk) -> None:
    """A manifest that is not there: REFUSED, exit code 2, with the place; the next night is tried."""
    (desk.folder / "prompts-2026-11-21.txt").unlink()
    (run,) = desk.call(at=DUE)
    assert run.state == "REFUSED"
    assert "prompts-2026-11-21.txt: there is no such file" in run.message
    assert exit_code([run]) == 2
    assert desk.call(at=DUE + timedelta(minutes=5)) == []
    assert [run.state for run in desk.call(at=DUE + timedelta(days=1))] == ["SUCCEEDED"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"schema": 9}', b'{"schema": 1, "since": "2026-11-20", "runs": []}'])
def test_an_entry_in_trouble_keeps_no_other_from_running(desk: Desk, body: bytes) -> None:
    """A state that cannot be read is named with its remedy, exit code 2; the entry beside it is started."""
    other = NIGHTLY[NIGHTLY.index("  - name") :].replace("cat", "dog")
    desk.write(NIGHTLY + other)
    desk.call(at=NOON)
    open_store(desk.file.store).put("nightly/cat.json", body)
    desk.now = DUE
    caller = desk.caller(lambda _name, _due: Started(this_process()))
    caller.look()
    assert caller.exit_code == 2
    trouble, started = desk.told
    assert (trouble.entry, trouble.action, started.entry, started.action) == ("cat", "trouble", "dog", "started")
    assert "nightly/cat.json: cannot be read" in trouble.message


def test_only_new_renders_rows_that_no_job_has_made(desk: Desk) -> None:
    """The second night's job is of the one new row; the third has none, and there is no job."""
    job = JOB.replace('{seed: per_run, tags: {night: "{date}"}}', "{}")
    desk.write(NIGHTLY + "    only_new: true\n", job)
    assert desk.call(at=DUE)[0].images == 2
    desk.write(NIGHTLY + "    only_new: true\n", job, "a cat\na dog\na bird\n")
    (second,) = desk.call(at=DUE + timedelta(days=1))
    assert second.images == 1
    (third,) = desk.call(at=DUE + timedelta(days=2))
    assert (third.state, third.job, third.message) == ("SUCCEEDED", "", "no row is new")


def test_replace_cancels_the_run_before(desk: Desk) -> None:
    """A job without a driver is canceled from here; the next one is started in the same call."""
    desk.write(NIGHTLY + "    concurrency: replace\n")
    (first,) = desk.call(at=DUE)
    desk.book.change(lambda state: state and state.having(replace(first, ended_at=None, owner=Owner(host="x", pid=1))))
    (second,) = desk.call(at=DUE + timedelta(days=1))
    assert (second.due, second.state) == (DUE + timedelta(days=1), "SUCCEEDED")


def test_budget_and_deadline_of_the_entry_are_the_jobs(desk: Desk) -> None:
    """The next seven o'clock by the entry's clocks; the budget goes before the job file's."""
    desk.write(NIGHTLY + '    deadline: "07:00"\n    budget: {usd: 3}\n', JOB + "budget: {usd: 9, usd_per_image: 1}\n")
    from jobs.nightly.nightly_file import job_of

    job = job_of(desk.file, desk.file.entry("cat"), DUE)
    assert job.deadline == datetime(2026, 11, 21, 6, tzinfo=UTC)
    assert (str(job.budget.usd), str(job.budget.usd_per_image)) == ("3", "1")


def test_a_clock_that_was_ahead_at_first_sight_is_forgotten(desk: Desk, tmp_path: Path) -> None:
    """An entry first seen by a clock a year ahead does not wait for a year."""
    desk.book.change(lambda state: state and replace(state, since=NOON + timedelta(days=365)))
    assert desk.call(at=NOON) == []
    assert len(desk.call(at=DUE)) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('cron: "61 2 * * *"', 'nightly.yaml:4: nightly[0].cron: "61 2 * * *": bad minute'),
        ("timezone: Europe/Berlim", 'got "Europe/Berlim", did you mean "Europe/Berlin"?'),
        ("timezone: ../../etc/passwd", "nightly[0].timezone: must be a time zone such as Europe/Berlin"),
        ("concurency: queue", 'nightly[0].concurency: unknown key, did you mean "concurrency"?'),
        ("concurrency: both", "must be forbid, queue or replace"),
        ("catch_up: {all: 0}", "all must be a whole number from 1 to 100, got 0"),
        ("catch_up: some", "must be none, last, all or {all: 20}"),
        ("deadline: 25:00", 'must be a time such as "07:00"'),
        ("budget: {usd: 0}", "nightly[0].budget.usd: must be more than 0"),
        ("name: Cat Pictures", 'try "cat-pictures"'),
    ],
)
def test_what_makes_no_sense_has_its_line_and_remedy(tmp_path: Path, line: str, said: str) -> None:
    """Each key of an entry."""
    key = line.partition(":")[0]
    kept = [one for one in NIGHTLY.splitlines() if not one.strip(" -").startswith(f"{key}:")]
    if key == "name":
        kept.insert(2, f"  - {line}")
    else:
        kept.insert(3, f"    {line}")
    (tmp_path / "nightly.yaml").write_text("\n".join(kept))
    with pytest.raises(JobFileError) as refused:
        load_nightly(str(tmp_path / "nightly.yaml"))
    assert said in str(refused.value)
    assert f"nightly.yaml:{3 if key == 'name' else 4}: " in str(refused.value)


def test_shipped_example_is_a_nightly_file() -> None:
    """`configs/nightly.yaml` is read as it stands."""
    from importlib.resources import as_file, files

    with as_file(files("configs") / "nightly.yaml") as path:
        assert [entry.name for entry in load_nightly(str(path)).nightly] == ["catalogue", "weekly-posters"]


def test_per_run_seeds_are_for_schedules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plain submit says so, with what to write instead."""
    (tmp_path / "job.yaml").write_text(JOB + "store: out\n")
    assert command(["validate", str(tmp_path / "job.yaml")]) == 2
    assert "job.yaml:4: defaults.seed: per_run is for jobs of `spotrender nightly`" in capsys.readouterr().err


def test_commands_show_what_will_run_and_what_ran(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON; nothing is due in the present."""
    desk.call(at=DUE)
    file = str(desk.folder / "nightly.yaml")

    def said(*arguments: str) -> Any:
        assert command(["nightly", *arguments, file, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert [one["entry"] for one in said("next")] == ["cat"] * 3
    (ran,) = said("list")
    assert (ran["state"], ran["images"], ran["local"]) == ("SUCCEEDED", 2, "2026-11-21 02:00")
    assert command(["nightly", "list", file]) == 0
    assert "2026-11-21 02:00  cat  SUCCEEDED  night-2026-11-21-" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["cron", "systemd", "kubernetes"])
def test_units_call_the_file_wherever_it_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """Folders with blanks and per cent signs are what those files want them to be."""
    folder = tmp_path / "my 100% renders"
    folder.mkdir()
    (folder / "nightly.yaml").write_text(NIGHTLY)
    assert command(["nightly", "install", str(folder / "nightly.yaml"), f"--{kind}"]) == 0
    text = capsys.readouterr().out
    blank = {"cron": r"my 100\% renders/nightly.yaml'", "systemd": 'my 100%% renders/nightly.yaml"'}
    assert blank.get(kind, 'my 100% renders/nightly.yaml"') in text
    assert ("--wait" in text) is (kind != "cron"), "only cron lets a run outlive the call"
    assert command(["nightly", "install", str(folder / "nightly.yaml")]) == 2


def test_run_over_the_budget_of_the_month_is_left_out(desk: Desk) -> None:
    """The first run costs something, so the others do not begin; those whom the entry names hear of it once."""
    with receiver() as there:
        more = f"    budget: {{usd_per_month: 0.000000001}}\n    notify: [{{webhook: '{there.url}/x', on: [budget]}}]\n"
        desk.write(NIGHTLY + more)
        (first,) = desk.call(at=DUE)
        assert first.state == "SUCCEEDED"
        assert first.cost_usd == first.usd > 0
        for day in (1, 2):
            assert desk.call(at=DUE + timedelta(days=day)) == []
            told = desk.told[-1]
            assert (told.action, told.state) == ("left out", "SKIPPED")
        assert "budget.usd_per_month is $0.000000001; raise it, or wait for next month" in told.message
        (posted,) = there.posted
        assert (posted.values["title"], posted.values["text"]) == (
            "cat: the budget of the month is spent",
            told.message,
        )
    state = desk.book.read()
    assert state is not None
    assert state.spent_in("2026-11") == first.usd


def test_job_that_is_there_already_costs_its_run_nothing(desk: Desk) -> None:
    """Two nights with one job: the second had nothing to do."""
    desk.write(NIGHTLY, "name: same\nmanifest: prompts-2026-11-21.txt\nmodel: synthetic\n")
    runs = [desk.call(at=DUE + timedelta(days=day))[0] for day in range(2)]
    assert runs[0].job == runs[1].job
    assert runs[0].cost_usd == runs[0].usd == runs[1].usd > 0
    assert runs[1].cost_usd == 0


def test_run_that_never_had_a_job_is_told_too(desk: Desk) -> None:
    """Those whom the entry names: a manifest that must be mended, at three in the morning."""
    with receiver() as there:
        desk.write(NIGHTLY + f"    notify: [{{webhook: '{there.url}/x', on: [failed]}}]\n", prompts="")
        (run,) = desk.call(at=DUE)
        assert run.state == "REFUSED"
        (posted,) = there.posted
        assert posted.values["title"] == "cat: the run due 2026-11-21T01:00+00:00 is REFUSED"
        assert posted.values["text"] == run.message
        desk.write(NIGHTLY + f"    notify: [{{webhook: '{there.url}/x'}}]\n")
        desk.call(at=DUE + timedelta(days=1))
        assert [posted.values["event"] for posted in there.posted] == ["failed", "started", "finished"]


def test_states_of_jobs_are_exit_codes() -> None:
    """Of several runs the highest."""
    runs = [
        Run(due=DUE, started_at=DUE, owner=GONE, state=state.value, ended_at=DUE)
        for state in (JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES)
    ]
    assert exit_code(runs) == 3
