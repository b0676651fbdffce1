"""Orders from a second process to a job that runs: pause, other settings, resume, cancel; and its log afterwards."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run
from tests.chaos.command import Command, command
from tests.chaos.manifest import write_manifest

PROMPTS = 60
PER_SECOND = 5
"""Images that the stand-in renders."""


@pytest.fixture
def submit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that would take twelve seconds by itself."""
    monkeypatch.setenv("SPOTRENDER_STORE", str(tmp_path / "out"))
    write_manifest(tmp_path / "prompts.jsonl", prompts=PROMPTS)
    made = ["submit", str(tmp_path / "prompts.jsonl"), "--model", "synthetic", "--address", "in-process"]
    return [*made, "--batch-size", "2", "--set", f"model_options.seconds_per_batch={2 / PER_SECOND}"]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command on the job `prompts` in this process; gives its JSON document."""

    def asked(name: str, *more: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert run([name, "prompts", *more, "--json"]) == code, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return asked


def rendering(driver: Command, folder: Path) -> None:
    """Wait until it has committed something."""
    driver.until(lambda: any((folder / "out/jobs").glob("prompts-*/records/*.json")))


def test_running_job_is_paused_changed_resumed_and_canceled(submit: list[str], ask: Any, tmp_path: Path) -> None:
    """One driver all along: it waits without workers, takes the settings up, goes on, and ends with exit code 5."""
    with command(submit) as driver:
        rendering(driver, tmp_path)
        paused = ask("pause")
        assert (paused["order"], f"pid {driver.pid}" in paused["driver"]) == ("pause", True)
        driver.until(lambda: ask("status")["state"] == "PAUSED")
        stood = ask("status")
        assert (stood["workers_ready"], "paused by" in stood["message"]) == (0, True)
        changed = ask("set", "budget.usd=30", "deadline=2099-01-01T00:00:00+00:00")
        assert (changed["number"], changed["settings"]["budget_usd"]) == (2, 30)
        assert "takes them up" in changed["message"]
        assert ask("status")["rendered"] == stood["rendered"] < PROMPTS
        assert "goes on" in ask("resume")["message"]
        driver.until(lambda: ask("status")["rendered"] > stood["rendered"])
        assert ask("cancel")["order"] == "cancel"
        code, result = driver.end()
    assert (code, result["state"]) == (5, "CANCELED")
    assert stood["rendered"] < result["rendered"] < PROMPTS
    assert ask("wait", code=5)["state"] == "CANCELED"
    assert ask("cancel")["message"] == "it is CANCELED already"
    assert "nothing to pause" in ask("pause", code=2)["error"]
    said = [line["message"] for line in ask("logs")]
    assert [one for one in said if one.startswith("asked to")] == [
        f"asked to {order} by {paused_by(stood)}" for order in ("pause", "run", "cancel")
    ]
    done = ask("resume", "--address", "in-process")
    assert (done["state"], done["rendered"]) == ("SUCCEEDED", PROMPTS)
    assert "nothing to resume" in ask("resume", code=2)["error"]


def paused_by(status: Any) -> str:
    """Who paused the job, as its status says."""
    return str(status["message"]).removeprefix("paused by ").partition(";")[0]


def test_budget_that_is_lowered_stops_a_running_job_and_submit_raises_it(
    submit: list[str], ask: Any, tmp_path: Path
) -> None:
    """The driver takes a limit up while it renders; a submit of the job with another limit goes on."""
    with command([*submit, "--set", "budget.usd=100"]) as driver:
        rendering(driver, tmp_path)
        ask("set", "budget.usd=0.000000001")
        code, result = driver.end()
    assert (code, result["state"]) == (4, "STOPPED")
    assert "raise budget.usd" in result["message"]
    with command(submit) as driver:
        code, result = driver.end()
    assert (code, result["state"], result["rendered"]) == (0, "SUCCEEDED", PROMPTS)


def test_submit_of_a_paused_job_lets_its_driver_go_on(submit: list[str], ask: Any, tmp_path: Path) -> None:
    """Who submits wants it to run: the driver that waits is told so, with the new settings, and followed."""
    with command(submit) as driver:
        rendering(driver, tmp_path)
        ask("pause")
        driver.until(lambda: ask("status")["state"] == "PAUSED")
        with command([*submit, "--set", "budget.usd=7"]) as second:
            code, result = second.end()
            assert "following" in second.stderr()
        assert driver.end() == (code, result)
    assert (code, result["state"], result["rendered"]) == (0, "SUCCEEDED", PROMPTS)
    assert ask("set", "budget.usd=7")["message"] == "they were so already"


def test_interrupted_while_it_waits_a_paused_driver_ends(submit: list[str], ask: Any, tmp_path: Path) -> None:
    """Ctrl-C at its terminal: the job stays paused, exit code 130; resume drives it from elsewhere."""
    with command(submit) as driver:
        rendering(driver, tmp_path)
        ask("pause")
        driver.until(lambda: ask("status")["state"] == "PAUSED")
        driver.interrupt()
        code, result = driver.end()
    assert (code, result["state"]) == (130, "PAUSED")
    assert ask("cancel")["state"] == "CANCELED"
    assert ask("resume", "--address", "in-process")["state"] == "SUCCEEDED"
