"""A rehearsal on its own local cluster: nothing is lost, and nothing of it outlives the command."""

from pathlib import Path

import psutil

from infra.compute.local_cluster import local_cluster
from infra.stores.local import LocalStore
from jobs.rehearsing.survey import survey
from tests.chaos.command import command
from tests.chaos.manifest import write_manifest

PROMPTS = 90


def test_rehearsal_loses_nothing_and_says_what_reclaims_cost(tmp_path: Path) -> None:
    """One of two nodes is killed every few seconds: all promises kept, and the same bytes as undisturbed."""
    write_manifest(tmp_path / "prompts.jsonl", prompts=PROMPTS)
    options = ["--nodes", "2", "--kill-every", "6s", "--back-after", "1s", "--seed", "3", "--batch-size", "2"]
    options += ["--set", "model_options.seconds_per_batch=0.5", "--compare", "--store", str(tmp_path / "kept")]
    with command(["rehearse", str(tmp_path / "prompts.jsonl"), *options]) as rehearsal:
        code, result = rehearsal.end()
    assert (code, result["state"], result["broken"]) == (0, "SUCCEEDED", []), rehearsal.stderr()
    found = result["found"]
    assert (found["images"], found["images_lost"], found["images_counted_twice"]) == (PROMPTS, 0, 0)
    kills = sum(done["what"] == "kill" for done in result["done"])
    assert 0 < found["reclaims"] <= kills  # a node that was taken before any worker stood there has no session
    assert result["compared"] == PROMPTS
    assert result["overhead"] > 0
    store = LocalStore(f"{result['store']}/reclaims")
    assert survey(store, result["job"], nodes_at_first=2).reclaims == found["reclaims"]


def test_interrupted_rehearsal_ends_all_that_it_started(tmp_path: Path) -> None:
    """After a Ctrl-C there is no process left and nothing in the way of the next one, and the exit code is 130."""
    write_manifest(tmp_path / "prompts.jsonl", prompts=400)
    with command(["rehearse", str(tmp_path / "prompts.jsonl"), "--nodes", "2", "--notice", "30s"]) as rehearsal:
        rehearsal.until(lambda: "rendering" in rehearsal.stderr())
        everything = psutil.Process(rehearsal.pid).children(recursive=True)
        rehearsal.interrupt()
        code, result = rehearsal.end()
    assert (code, result["error"]) == (130, "interrupted")
    assert not [process for process in everything if process.is_running()]


def test_killed_node_leaves_no_process_and_the_cluster_ends_with_its_block() -> None:
    """Every process of a node dies at once; at the end there is none of the whole cluster."""
    with local_cluster() as cluster:
        first, second = cluster.add(), cluster.add()
        cluster.settle()
        assert cluster.announce(second, seconds=60)
        assert cluster.kill(first)
        assert not cluster.kill(first)
        assert not psutil.pid_exists(first.raylet)
        host = psutil.Process(second.raylet).parent()
        assert host is not None
        everything = [host, *host.children(recursive=True)]
    assert not [process for process in everything if process.is_running()]
