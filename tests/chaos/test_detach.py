"""A job that is handed to a cluster: the command returns, and the cluster brings it to its end by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.cli import run
from tests.chaos.command import command
from tests.chaos.manifest import write_manifest
from tests.chaos.outside import OutsideView
from tests.infra.compute.real_cluster import dashboard_arguments, running_cluster
from tests.infra.servers import S3Server, rclone_server

PROMPTS = 24


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A store that checks signatures: whoever writes must have found the credentials."""
    with rclone_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def dashboard(server: S3Server) -> Iterator[str]:
    """Address of the dashboard of a cluster whose nodes may use the store."""
    with running_cluster(environment=server.environment(), num_cpus=2, **dashboard_arguments()) as cluster:
        yield cluster.dashboard


def test_detached_job_ends_with_every_image_though_nobody_stays(
    server: S3Server, dashboard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Submit returns with the job pending, again meanwhile starts no second driver, and wait tells the end."""
    wanted = write_manifest(tmp_path / "prompts.jsonl", prompts=PROMPTS)
    view, store = OutsideView(server, "renders"), server.uri("renders")
    submit = ["submit", str(tmp_path / "prompts.jsonl"), "--model", "synthetic", "--store", store, "--batch-size", "4"]
    submit += ["--set", "model_options.seconds_per_batch=0.5", "--address", dashboard, "--workers", "2", "--detach"]
    for _ in range(2):
        with command(submit) as submitted:
            code, result = submitted.end()
        assert (code, result["state"], result["rendered"], result["total"]) == (0, "PENDING", 0, PROMPTS)
        assert result["job"] in result["message"]
    with command(["wait", result["job"], "--store", store, "--timeout", "150"]) as waiting:
        code, seen = waiting.end()
    assert (code, seen["state"], seen["rendered"]) == (0, "SUCCEEDED", PROMPTS)
    assert view.drivers() == 1
    images = [image for record in view.records() for image in record["images"]]
    assert {image["image_id"] for image in images} == set(wanted.values())
    assert view.damaged(iter(images)) == []
    assert run(["verify", result["job"], "--store", store]) == 0
    capsys.readouterr()
