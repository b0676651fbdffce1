"""Budgets from the job file to the end of a job."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.changing import change
from jobs.cli import run
from jobs.jobfile.loading import Options, load
from jobs.submit import submit as submit_job
from jobs.wiring import open_store
from pipeline.job import JobState
from pipeline.status import Status


@pytest.fixture
def submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Submit a job of so many prompts of a name; gives exit code and result."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPOTRENDER_STORE", "out")
    monkeypatch.setenv("SPOTRENDER_LOCAL_USD_PER_HOUR", "36")

    def submitted(name: str, prompts: str, *settings: str) -> tuple[int, Any]:
        Path("p.txt").write_text("\n".join(prompts), encoding="utf-8")
        command = ["submit", "p.txt", "--name", name, "--model", "synthetic", "--address", "in-process", "--json"]
        code = run([*command, *(one for setting in settings for one in ("--set", setting))])
        return code, json.loads(capsys.readouterr().out)

    return submitted


def test_batch_that_passes_the_budget_by_far_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits an hour for the batch in flight when the budget was lowered below what is spent."""
    monkeypatch.setenv("SPOTRENDER_LOCAL_USD_PER_HOUR", "36")
    (tmp_path / "p.txt").write_text("a cat", encoding="utf-8")
    slow = ("model_options.seconds_per_batch=3600", "budget.usd=1000")
    options = Options(model="synthetic", store=str(tmp_path / "out"), assignments=slow)
    store, lowered = str(tmp_path / "out"), list[object]()

    def lower(status: Status) -> None:
        if status.workers_ready and not lowered:
            lowered.append(change(open_store(store), status.job, ["budget.usd=0.000001"], environ={}))

    result = submit_job(load(str(tmp_path / "p.txt"), options), address="in-process", on_status=lower)
    assert (result.state, result.rendered) == (JobState.STOPPED, 0)
    assert "given up, as budget.hard_excess of 0.1 says" in result.message


def test_month_is_over_when_the_jobs_of_the_name_have_spent_it(submit: Any) -> None:
    """Another name has a month of its own; a raise goes on."""
    code, first = submit("cats", "ab")
    assert (code, first["usd"] > 0) == (0, True)
    limit = f"budget.usd_per_month={first['usd'] / 2:.9f}"
    code, second = submit("cats", "cd", limit)
    assert (code, second["state"], second["rendered"]) == (4, "STOPPED", 0)
    assert "the jobs of this name have cost" in second["message"]
    assert submit("dogs", "cd", "budget.usd_per_month=1000")[0] == 0
    assert submit("cats", "ef", "budget.usd_per_month=1000")[0] == 0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("budget.hard_excess=-1", "must be a share from 0 to 10"),
        ("budget.usd_per_month=0", "must be more than 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(submit: Any, setting: str, said: str) -> None:
    """With exit code 2, and nothing written."""
    code, result = submit("cats", "ab", setting)
    assert (code, said in result["error"]) == (2, True)
    assert not Path("out/jobs").exists()
