"""A job on a real cluster and a real S3 server, through kill -9 of everything: read from outside, nothing is lost."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run
from tests.chaos.command import Command, command
from tests.chaos.manifest import write_manifest
from tests.chaos.outside import OutsideView
from tests.chaos.promises import assert_books_balance, assert_each_is_counted_once, assert_every_image_is_there
from tests.infra.compute.real_cluster import RayCluster, running_cluster, worker_processes
from tests.infra.servers import moto_server

BETWEEN = 6
"""Records from one blow to the next."""

PRICE = "0.37"
"""Dollars an hour of each node: no whole number of nano-dollars a nanosecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """The job after all that was done to it."""

    view: OutsideView
    store: str
    wanted: dict[str, str]
    """Custom id -> image id."""
    paused: tuple[int, Any]
    """Exit code and document of the driver that had a Ctrl-C."""
    paused_state: str
    """The job's state in the store then."""
    ended: tuple[int, Any]
    """Of the driver that came to the end."""
    again: tuple[int, Any]
    """Of one more submit."""
    killed_node: str
    """Ray's id of the node that was killed."""


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    """Three drivers that die or are stopped, and one that loses a worker and a node and comes to the end."""
    folder = tmp_path_factory.mktemp("kills")
    wanted = write_manifest(folder / "prompts.jsonl")
    with (
        moto_server() as server,
        running_cluster(environment={**server.environment(), "SPOTRENDER_LOCAL_USD_PER_HOUR": PRICE}) as cluster,
    ):
        nodes = [cluster.add() for _ in range(3)]
        view, store = OutsideView(server, "renders"), server.uri("renders")
        submit = ["submit", str(folder / "prompts.jsonl"), "--model", "synthetic", "--store", store]
        submit += ["--set", "model_options.seconds_per_batch=0.4", "--batch-size", "2"]
        submit += ["--address", cluster.address, "--workers", "3"]
        with command(submit) as driver:
            driver.until(lambda: view.drivers() == 1)
            driver.kill()
        with command(submit) as driver:
            more_records(driver, view)
            driver.kill()
        with command(submit) as driver:
            more_records(driver, view)
            driver.interrupt()
            paused = driver.end()
        paused_state = view.status()["state"]
        with command(submit) as driver:
            rob(driver, view, cluster, nodes)
            ended = driver.end()
        with command(submit) as driver:
            again = driver.end()
        yield Aftermath(
            view=view,
            store=store,
            wanted=wanted,
            paused=paused,
            paused_state=paused_state,
            ended=ended,
            again=again,
            killed_node=nodes[1].node_id,
        )


def more_records(driver: Command, view: OutsideView) -> None:
    """Wait until this driver's workers have committed some batches."""
    before = len(view.record_keys())
    driver.until(lambda: len(view.record_keys()) >= before + BETWEEN)


def rob(driver: Command, view: OutsideView, cluster: RayCluster, nodes: list[Any]) -> None:
    """Kill a worker of a driver, then a node with all that runs there, and give the cluster another node."""
    more_records(driver, view)
    (worker,) = worker_processes(nodes[0])
    worker.kill()
    more_records(driver, view)
    cluster.kill(nodes[1])
    cluster.add()


def test_job_ends_with_every_image_of_its_manifest(aftermath: Aftermath) -> None:
    """State and exit code say so, and each image's object has the bytes that its record tells."""
    code, result = aftermath.ended
    assert (code, result["state"], aftermath.view.status()["state"]) == (0, "SUCCEEDED", "SUCCEEDED")
    wanted = set(aftermath.wanted.values())
    assert (result["total"], result["rendered"], result["failed"]) == (len(wanted), len(wanted), 0)
    assert_every_image_is_there(aftermath.view, wanted)
    requested = {row["custom_id"]: row["image_id"] for row in aftermath.view.requests()}
    assert requested == aftermath.wanted


def test_ctrl_c_leaves_a_paused_job(aftermath: Aftermath) -> None:
    """It ends after the batches in flight, says so, and what it did counts for the drivers after it."""
    code, result = aftermath.paused
    assert (code, result["state"], aftermath.paused_state) == (130, "PAUSED", "PAUSED")
    assert 0 < result["rendered"] < result["total"]
    assert aftermath.ended[1]["rendered_now"] <= result["total"] - result["rendered"]


def test_no_image_that_a_record_named_is_rendered_again(aftermath: Aftermath) -> None:
    """Deaths of drivers and workers leave one record for each image; only a dying node's last one may come too late."""
    named = defaultdict(list)
    for record in aftermath.view.records():
        for image in record["images"]:
            named[image["image_id"]].append(record["node"]["node_id"])
    twice = {image: nodes for image, nodes in named.items() if len(nodes) > 1}
    assert all(aftermath.killed_node in nodes for nodes in twice.values()), twice


def test_ledger_counts_each_image_once(aftermath: Aftermath) -> None:
    """Of an image's records one is rendered, at the cost that it tells, and each other one is a duplicate."""
    assert_each_is_counted_once(aftermath.view)


def test_books_of_every_node_balance(aftermath: Aftermath) -> None:
    """The seven categories are the node's lifetime and its price, and what died with a node was lost."""
    assert_books_balance(aftermath.view, usd_per_hour=Decimal(PRICE))
    sessions = aftermath.view.nodes_ledger()
    assert aftermath.killed_node in {session["node_id"] for session in sessions}
    assert aftermath.ended[1]["usd"] == sum(session["accrued_usd"] for session in sessions)
    assert sum(session["lost_to_failure_usd"] for session in sessions) > 0


def test_another_submit_renders_nothing(aftermath: Aftermath) -> None:
    """A finished job stays as it is, and its figures with it."""
    code, result = aftermath.again
    assert (code, result["rendered_now"], result["state"]) == (0, 0, "SUCCEEDED")
    same = ("job", "total", "rendered", "reused", "failed", "usd")
    assert [result[name] for name in same] == [aftermath.ended[1][name] for name in same]


def test_images_are_delivered_under_their_own_names(
    aftermath: Aftermath, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verify finds every image sound, and download gives every row of the manifest its file."""
    where = ["prompts", "--store", aftermath.store]
    assert run(["verify", *where]) == 0
    assert run(["download", *where, "--to", str(tmp_path)]) == 0
    capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.png" for name in aftermath.wanted} | {
        "index.csv",
        "index.parquet",
    }
