"""Orders to a job on a real cluster: pause, other nodes while it waits and while it works, resume."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run
from tests.chaos.command import command
from tests.chaos.manifest import write_manifest
from tests.infra.compute.real_cluster import running_cluster, worker_processes

PROMPTS = 2_000
NODES = "nodes=[{type: local, market: local, max: %d}]"


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command on the job `prompts` in this process; gives its JSON document."""
    monkeypatch.setenv("SPOTRENDER_STORE", str(tmp_path / "out"))

    def asked(name: str, *more: str) -> Any:
        capsys.readouterr()
        assert run([name, "prompts", *more, "--json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return asked


def test_job_on_a_cluster_is_paused_changed_and_resumed(ask: Any, tmp_path: Path) -> None:
    """A paused job holds no worker; nodes that were set meanwhile hold from then on; busy workers go when told."""
    write_manifest(tmp_path / "prompts.jsonl", prompts=PROMPTS)
    with running_cluster() as cluster:
        nodes = [cluster.add(), cluster.add()]

        def holders() -> int:
            return sum(bool(worker_processes(node)) for node in nodes)

        submit = ["submit", str(tmp_path / "prompts.jsonl"), "--model", "synthetic", "--address", cluster.address]
        submit += ["--batch-size", "2", "--set", "model_options.seconds_per_batch=0.4", "--set", NODES % 2]
        with command(submit) as driver:
            driver.until(lambda: any((tmp_path / "out/jobs").glob("prompts-*/records/*.json")))
            driver.until(lambda: ask("status")["workers_ready"] == 2)
            ask("pause")
            driver.until(lambda: ask("status")["state"] == "PAUSED")
            driver.until(lambda: holders() == 0)
            stood = ask("status")["rendered"]
            ask("set", NODES % 1)
            ask("resume")
            driver.until(lambda: ask("status")["rendered"] > stood)
            assert (ask("status")["workers_ready"], holders()) == (1, 1)
            ask("set", NODES % 2)
            driver.until(lambda: ask("status")["workers_ready"] == 2)
            before = ask("status")["rendered"]
            driver.until(lambda: ask("status")["rendered"] > before)
            ask("set", NODES % 1)
            driver.until(lambda: ask("status")["workers_ready"] == 1)
            driver.until(lambda: holders() == 1)
            assert ask("status")["workers_lost"] == 0, "who is let go is not lost"
            ask("cancel")
            code, result = driver.end()
    assert (code, result["state"]) == (5, "CANCELED")
    assert before <= result["rendered"] < PROMPTS
