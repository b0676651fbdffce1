"""Workers on a Ray cluster of several real nodes, while workers and nodes die."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.compute.cluster_facts import ClusterFacts, cluster_facts
from infra.compute.code_version import code_root
from infra.compute.gpu import gpu_present
from infra.compute.ray_cluster import RayCompute
from infra.compute.ray_demand import NODE_TYPE_LABEL
from pipeline.clock import SystemClock
from pipeline.events import (
    AttemptEnded,
    BatchCommitted,
    DeviceTaken,
    Heartbeat,
    WorkerLost,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.job import NodeOffer
from tests.infra.compute.jobs import Listener, assignment, cluster_offer, recorded_images, spec, synthetic_model
from tests.infra.compute.real_cluster import RayCluster, worker_processes


@contextmanager
def workers(cluster: RayCluster, store: Path, **changes: Any) -> Iterator[tuple[RayCompute, Listener]]:
    """A driver's view of the cluster: its compute, started, and a listener to it."""
    values: dict[str, Any] = {"address": cluster.address, "ship_code": False, "offers": (cluster_offer(),)}
    compute = RayCompute(spec(store, **(values | changes)), clock=SystemClock())
    try:
        compute.start()
        yield compute, Listener(compute)
    finally:
        compute.close()


def test_worker_dies_and_its_replacement_renders(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """SIGKILL of a worker costs its node nothing: the loss is told, and another worker takes its place."""
    model = synthetic_model(seconds_per_batch="0.2", batch_size="2")
    with ray_cluster.node() as node, workers(ray_cluster, tmp_path, models=(model,)) as (compute, listener):
        first = listener.first(WorkerReady)
        compute.assign(first.worker, assignment(model, "a1", images=400))
        listener.first(BatchCommitted)
        (process,) = worker_processes(node)
        process.send_signal(signal.SIGKILL)
        lost = listener.first(WorkerLost)
        assert (lost.worker, lost.cause, lost.node_lost) == (first.worker, "INFRASTRUCTURE", False)
        assert lost.message == "its process died at once (killed, or out of memory)"
        second = listener.first(WorkerReady, after=listener.heard.index(lost))
        work = assignment(model, "a2", images=4)
        compute.assign(second.worker, work)
        assert listener.first(AttemptEnded, worker=second.worker).cause == "SUCCEEDED"
        assert set(work.image_ids) <= set(recorded_images(tmp_path))
        starts = [event for event in listener.heard if isinstance(event, WorkerStarting)]
        assert starts[0].node == starts[1].node
        assert [start.gpu_index for start in starts] == [0, 0]
        assert first.worker not in {event.worker for event in listener.heard[listener.heard.index(lost) + 1 :]}


def test_released_worker_commits_what_is_in_flight_and_hands_back_the_rest(
    ray_cluster: RayCluster, tmp_path: Path
) -> None:
    """A release is heard while the worker renders, and it stays for more."""
    model = synthetic_model(seconds_per_batch="0.2", batch_size="2")
    with ray_cluster.node(), workers(ray_cluster, tmp_path, models=(model,)) as (compute, listener):
        worker = listener.first(WorkerReady).worker
        compute.assign(worker, assignment(model, "a1", images=400))
        listener.first(DeviceTaken)
        compute.release(worker)
        assert listener.first(AttemptEnded).cause == "HANDED_BACK"
        committed = [event for event in listener.heard if isinstance(event, BatchCommitted)]
        assert sum(len(event.record.images) for event in committed) == len(recorded_images(tmp_path))
        compute.assign(worker, assignment(model, "a2", images=2))
        listener.wait(lambda events: sum(isinstance(event, AttemptEnded) for event in events) == 2)


def test_killed_node_takes_its_workers_and_a_new_one_brings_its_own(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """A node that dies without notice is told as lost; a node that joins later gets the waiting worker."""
    with workers(ray_cluster, tmp_path) as (_, listener):
        with ray_cluster.node() as node:
            first = listener.first(WorkerStarting)
            listener.first(WorkerReady, worker=first.worker)
            ray_cluster.kill(node)
            lost = listener.first(WorkerLost)
            assert (lost.worker, lost.cause, lost.node_lost) == (first.worker, "INFRASTRUCTURE", True)
            assert lost.message == f"its node {node.node_id[:12]} died"
        with ray_cluster.node():
            second = listener.first(WorkerStarting, after=listener.heard.index(lost))
            listener.first(WorkerReady, worker=second.worker)
            assert second.node.node_session != first.node.node_session
            assert second.worker != first.worker


def test_node_that_was_drained_for_preemption_is_lost_to_it(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """Where Ray was told that the cloud takes a node, its loss is a preemption and no fault."""
    with ray_cluster.node() as node, workers(ray_cluster, tmp_path) as (_, listener):
        worker = listener.first(WorkerReady).worker
        assert ray_cluster.drain(node, seconds=60)
        known = len(listener.heard)
        listener.wait(lambda events: sum(isinstance(event, Heartbeat) for event in events[known:]) > 2)
        ray_cluster.kill(node)
        lost = listener.first(WorkerLost)
        assert (lost.worker, lost.cause, lost.node_lost) == (worker, "PREEMPTED", True)


def test_worker_that_falls_silent_is_killed_and_replaced(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """A frozen process holds a GPU and says nothing: it is ended after the heartbeat's time."""
    with (
        ray_cluster.node() as node,
        workers(ray_cluster, tmp_path, heartbeat_timeout_seconds=4.0) as (_, listener),
    ):
        first = listener.first(WorkerReady)
        (process,) = worker_processes(node)
        process.send_signal(signal.SIGSTOP)
        lost = listener.first(WorkerLost)
        assert (lost.worker, lost.node_lost) == (first.worker, False)
        assert "said nothing" in lost.message
        listener.first(WorkerReady, after=listener.heard.index(lost))


def test_workers_find_the_node_types_that_they_were_asked_for(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """Where a job names several types, each worker stands on a node of its own type and knows its price."""
    offers = (cluster_offer("small"), cluster_offer("large"))
    with (
        ray_cluster.node(labels={NODE_TYPE_LABEL: "large"}),
        ray_cluster.node(labels={NODE_TYPE_LABEL: "small"}),
        workers(ray_cluster, tmp_path, offers=offers) as (_, listener),
    ):
        heard = listener.wait(lambda events: sum(isinstance(event, WorkerReady) for event in events) == 2)
        starts = [event for event in heard if isinstance(event, WorkerStarting)]
        assert {start.node.node_type for start in starts} == {"small", "large"}
        assert len({start.node.node_session for start in starts}) == 2
        assert all(start.node_since_ns and start.node_since_ns <= start.at_ns for start in starts)


def test_worker_with_other_code_is_refused(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """A node that runs another version never renders for this driver."""
    with ray_cluster.node(), workers(ray_cluster, tmp_path, code_version="0" * 16) as (_, listener):
        refused = listener.first(WorkerRefused)
        assert refused.cause == "CLUSTER_REFUSED"
        assert "other code" in refused.message


def test_worker_that_sees_another_store_is_refused(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """A worker that does not find the driver's token says so, and is refused, again and again, but not lost."""
    with ray_cluster.node(), workers(ray_cluster, tmp_path, probe_token="elsewhere") as (_, listener):
        heard = listener.wait(lambda events: sum(isinstance(event, WorkerRefused) for event in events) == 2)
        refusals = [event for event in heard if isinstance(event, WorkerRefused)]
        assert {refused.cause for refused in refusals} == {"CLUSTER_REFUSED"}
        assert "s3://" in refusals[0].message
        assert not [event for event in heard if isinstance(event, WorkerLost)]


def test_promised_gpu_is_used_or_refused_and_never_replaced_by_the_cpu(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """A node that Ray says has a GPU, and shows none, is refused; where there is one, the worker is on it."""
    offer = NodeOffer(type="g6.xlarge", market="spot", max=1)
    with ray_cluster.node(gpus=1), workers(ray_cluster, tmp_path, offers=(offer,)) as (_, listener):
        said = listener.first(WorkerReady if gpu_present() else WorkerRefused)
        assert gpu_present() or "a GPU was promised" in said.message
        assert listener.first(WorkerStarting).node.gpu != "cpu"


def test_code_of_the_driver_is_sent_to_nodes_that_have_other_code(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """A driver with changed code gets workers with the very same change, on nodes that know nothing of it."""
    changed = tmp_path / "code"
    for package in ("pipeline", "infra", "jobs", "configs", "tests"):
        shutil.copytree(
            code_root() / package, changed / package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    (changed / "pipeline" / "added.py").write_text("CHANGED = True\n")
    with ray_cluster.node():
        shown = subprocess.run(
            [sys.executable, "-P", "-m", "tests.infra.compute.shipped", ray_cluster.address, str(tmp_path / "store")],
            cwd=tmp_path,  # Ray lets workers import from there too, if it is a folder of theirs
            env=os.environ | {"PYTHONPATH": str(changed)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (shown.stdout, shown.stderr) == ("ready\n", "")


@pytest.fixture(scope="module")
def facts(ray_cluster: RayCluster) -> ClusterFacts:
    """What `doctor` would see of the cluster with one labelled node."""
    with ray_cluster.node(labels={NODE_TYPE_LABEL: "small"}, gpus=1):
        return cluster_facts(ray_cluster.address)


def test_facts_tell_every_living_node_and_find_no_skew_within_one_installation(facts: ClusterFacts) -> None:
    """Nodes of this very machine run what the driver runs."""
    assert facts.skew() == ()
    assert sorted(node.gpus for node in facts.nodes) == [0.0, 1.0]
    assert {node.labels.get(NODE_TYPE_LABEL, "") for node in facts.nodes} == {"", "small"}


def test_skew_names_node_library_and_remedy(facts: ClusterFacts) -> None:
    """A node with another torch, or without one, is told in a line that says what to install."""
    here = dict(facts.here) | {"torch": "9.9.9", "python": "2.7.1"}
    lines = ClusterFacts(address=facts.address, here=here, nodes=facts.nodes[:1]).skew()
    assert any("torch" in line and "install torch 9.9.9 there" in line for line in lines)
    assert any("python" in line for line in lines)
