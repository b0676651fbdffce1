"""Rented machines as the documentation starts them: a token for everybody, labels for the job, SIGTERM as a notice."""

import stat
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from jobs.cli import run
from tests.chaos.command import command
from tests.chaos.manifest import write_manifest
from tests.infrastructure.machines import Machines, machines
from tests.infrastructure.strangers import OK, REFUSED, answer

PROMPTS = 40
NODES = """
nodes:
  - {type: small-pod, market: spot, max: 1, usd_per_hour: 0.12, gpu: cpu, provider: static}
  - {type: large-pod, market: on_demand, max: 1, usd_per_hour: 0.34, gpu: cpu, provider: static}
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job file for two types of machine."""
    folder = tmp_path_factory.mktemp("job")
    write_manifest(folder / "p.jsonl", prompts=PROMPTS)
    text = "manifest: p.jsonl\nmodel: synthetic\nbatch_size: 2\nmodel_options: {seconds_per_batch: '1'}\n"
    (folder / "job.yaml").write_text(f"name: pods\nstore: {folder / 'store'}\n{text}{NODES}")
    return folder / "job.yaml"


@pytest.fixture(scope="module")
def cluster(job: Path) -> Iterator[Machines]:
    """A head, and a machine of each type, by the rendered scripts."""
    assert run(["cluster", "render", str(job), "--target", "runpod", "--to", str(job.parent / "nodes")]) == 0
    with machines(job.parent / "nodes") as found:
        found.start_head()
        found.joined("head")
        # One after the other: nodes that start at the same time on one machine get in each other's way.
        found.start_worker("pod-a", "worker-small-pod-spot.sh")
        found.joined("pod-a")
        found.start_worker("pod-b", "worker-large-pod-on-demand.sh")
        found.joined("pod-b")
        yield found


def _spotrender(cluster: Machines, words: Sequence[str], **environment: str) -> tuple[int, Any]:
    with command(words, environment=cluster.environment(**environment), inherit_ray=False) as running:
        return running.end()


def _jobs(cluster: Machines, token: str | None) -> int:
    """The status with which the dashboard answers who asks for its jobs."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    asked = urllib.request.Request(f"{cluster.dashboard}/api/jobs/", headers=headers)  # noqa: S310 - loopback
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(asked, timeout=30) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_who_has_the_token_is_answered(cluster: Machines, job: Path) -> None:
    """The head made the token, readable to its user alone; without it neither Ray nor the Jobs API does anything."""
    assert stat.S_IMODE(cluster.token.stat().st_mode) == 0o600
    token = cluster.token.read_text()
    assert [answer(cluster.address, one) for one in (None, "0" * 64, token)] == [REFUSED, REFUSED, OK]
    assert [_jobs(cluster, one) for one in (None, "0" * 64, token)] == [401, 403, 200]
    stranger = {"HOME": str(job.parent), "RAY_AUTH_MODE": "disabled"}
    code, said = _spotrender(cluster, ["submit", str(job), "--address", cluster.dashboard, "--detach"], **stranger)
    assert (code, "set RAY_AUTH_MODE=token" in said["error"]) == (2, True)


def test_doctor_and_detached_job_show_the_token(cluster: Machines, job: Path) -> None:
    """With the token in its file and the mode in the environment, everything works as without."""
    code, said = _spotrender(cluster, ["doctor", "--address", cluster.address], RAY_AUTH_MODE="token")
    (found,) = [check["message"] for check in said["checks"] if check["name"] == "cluster"]
    assert "3 nodes" in found
    assert not [check for check in said["checks"] if check["name"] == "versions"]
    words = ["submit", str(job), "--name", "detached", "--address", cluster.dashboard, "--detach"]
    words += ["--set", "model_options.seconds_per_batch=0", "--set", "defaults.width=128"]
    code, said = _spotrender(cluster, words, RAY_AUTH_MODE="token")
    assert (code, said["state"]) == (0, "PENDING")
    code, said = _spotrender(cluster, ["wait", said["job"], "--store", said["store"], "--timeout", "150"])
    assert (code, said["state"], said["rendered"]) == (0, "SUCCEEDED", PROMPTS)


def test_machine_that_is_stopped_hands_back_and_nothing_is_lost(cluster: Machines, job: Path) -> None:
    """SIGTERM in the middle of a job: the driver hears of it in time, the other machine goes on, the ledger says so."""
    words = ["submit", str(job), "--address", cluster.address]
    with command(words, environment=cluster.environment(RAY_AUTH_MODE="token"), inherit_ray=False) as running:
        running.until(lambda: " 2 workers" in running.stderr())
        cluster.reclaim("pod-a")
        code, said = running.end()
    assert (code, said["state"], said["rendered"], said["failed"]) == (0, "SUCCEEDED", PROMPTS, 0)
    ledger = pyarrow.dataset.dataset(f"{said['store']}/ledger/nodes", partitioning="hive").to_table().to_pylist()
    ends = {row["node_id"]: row for row in ledger if row["job"] == said["job"]}
    assert {name: (row["node_type"], row["market"]) for name, row in ends.items()} == {
        "pod-a": ("small-pod", "spot"),
        "pod-b": ("large-pod", "on_demand"),
    }
    assert ends["pod-a"]["terminated_by"] == "reclaimed"
    assert ends["pod-b"]["terminated_by"] != "reclaimed"
