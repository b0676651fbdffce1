"""`nightly run` over real jobs: what it starts, resumes, leaves out and tells, from files that users write."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.process_identity import this_process
from jobs.nightly.running import exit_code
from jobs.submit import submit as submit_job
from jobs.watching.listing import list_jobs
from jobs.wiring import open_store
from pipeline.driving.lease_state import Owner
from tests.infra.notifiers.receiver import receiver
from tests.jobs.nightly.desk import DUE, JOB, NIGHTLY, NOON, Desk, Started


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
