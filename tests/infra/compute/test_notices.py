"""Nodes that are about to be taken, on a real cluster: told by a file, a cloud, a drain, a SIGTERM, and not at all."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.compute.notices import drain_notice, standing
from infra.compute.ray_drain import drain, draining
from infra.providers.reports import Notice
from pipeline.events import Heartbeat, NodeGone, NoticeCancelled, NoticeSeen, WorkerLost, WorkerReady, WorkerStarting
from tests.infra.compute.jobs import cluster_offer
from tests.infra.compute.real_cluster import RayCluster, running_cluster, worker_processes
from tests.infra.compute.test_ray_cluster import workers
from tests.infra.providers.clouds import AwsCloud, serving

SECOND = 1_000_000_000


def test_notice_far_ahead_is_not_told_yet_and_the_first_end_counts() -> None:
    """Until two minutes before, the node has time for work; a recommendation stands behind any end."""
    late = Notice(kind="reclaim", deadline_ns=500 * SECOND, source="ray")
    soon = Notice(kind="reclaim", deadline_ns=90 * SECOND, source="aws")
    advice = Notice(kind="rebalance", deadline_ns=0, source="aws")
    assert standing([late], now_ns=0) is None
    assert standing([late, advice], now_ns=0) == advice
    assert standing([late, advice, soon], now_ns=0) == soon
    assert standing([late], now_ns=400 * SECOND) == late


@pytest.mark.parametrize(("deadline_ns", "told_ns"), [(0, 127), (2**63 - 1, 127), (3, 7), (50, 50)])
def test_drains_odd_deadlines_are_made_sane(deadline_ns: int, told_ns: int) -> None:
    """None at all leaves two minutes, one that is past means when it was seen."""
    scaled = deadline_ns if deadline_ns > 2**40 else deadline_ns * SECOND
    assert drain_notice(scaled, seen_ns=7 * SECOND).deadline_ns == told_ns * SECOND


def test_file_on_the_node_is_a_notice_and_its_removal_takes_it_back(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """The worker stays the same one through it, and while it stands another place is asked for."""
    notices = tmp_path / "notices"
    notices.mkdir()
    with (
        ray_cluster.node() as node,
        workers(ray_cluster, tmp_path, notice_file=str(notices / "{node}")) as (_, listener),
    ):
        worker = listener.first(WorkerReady).worker
        told_ns = time.time_ns()
        (notices / node.node_id).write_text("40")
        seen = listener.first(NoticeSeen)
        assert (seen.worker, seen.kind, seen.source) == (worker, "reclaim", "static")
        assert 35 * SECOND < seen.deadline_ns - told_ns < 45 * SECOND
        assert draining()[node.node_id] == seen.deadline_ns // 1_000_000 * 1_000_000
        (notices / node.node_id).unlink()
        assert listener.first(NoticeCancelled).worker == worker
        (notices / node.node_id).write_text("")
        known = len(listener.heard)
        listener.first(NoticeSeen, after=known)
        with ray_cluster.node() as other:
            second = listener.first(WorkerStarting, after=known)
            assert second.node.node_id == other.node_id
            ray_cluster.kill(node)
            lost = listener.first(WorkerLost)
            assert (lost.worker, lost.cause, lost.node_lost) == (worker, "PREEMPTED", True)


def test_drain_that_fails_says_why_and_raises_nothing() -> None:
    """The call is private to Ray and may fail in any way: here this process is connected to none."""
    assert drain("ab" * 28, deadline_ns=time.time_ns(), why="a test")
    assert not draining()


def test_worker_that_the_hosts_memory_does_not_hold_is_lost_to_that(tmp_path: Path) -> None:
    """Ray's memory monitor ends it, and its cause is told apart from that of any other death."""
    tight = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}
    with (
        running_cluster(environment=tight) as cluster,
        cluster.node(),
        workers(cluster, tmp_path) as (_, listener),
    ):
        assert listener.first(WorkerLost).cause == "OUT_OF_MEMORY"


def test_lost_watcher_is_replaced_and_its_loss_takes_no_notice_back(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """The next one hears what comes; on a draining node Ray places none, and what was told stands."""
    notices = tmp_path / "notices"
    notices.mkdir()
    with (
        ray_cluster.node() as node,
        workers(ray_cluster, tmp_path, notice_file=str(notices / "{node}")) as (_, listener),
    ):
        listener.first(WorkerReady)
        first = watcher_process(node)
        assert first is not None
        first.kill()
        (notices / node.node_id).write_text("30")
        assert listener.first(NoticeSeen).source == "static"
        second = watcher_process(node)
        assert second is not None
        second.kill()
        known = len(listener.heard)
        listener.wait(lambda events: sum(isinstance(event, Heartbeat) for event in events[known:]) > 3)
        assert not [event for event in listener.heard if isinstance(event, NoticeCancelled | WorkerLost)]


def test_drain_by_somebody_else_is_a_notice_with_its_deadline(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """Whoever drains the node in Ray, its workers are told."""
    with ray_cluster.node() as node, workers(ray_cluster, tmp_path) as (_, listener):
        worker = listener.first(WorkerReady).worker
        ray_cluster.drain(node, seconds=60)
        seen = listener.first(NoticeSeen)
        assert (seen.worker, seen.kind, seen.source) == (worker, "reclaim", "ray")
        assert 50 * SECOND < seen.deadline_ns - time.time_ns() < 61 * SECOND
        assert not [event for event in listener.heard if isinstance(event, WorkerLost)]


def test_cloud_tells_who_the_node_is_and_when_it_goes(tmp_path: Path) -> None:
    """What EC2 says of the instance stands in the books, and its notice reaches the worker."""
    cloud = AwsCloud()
    offer = replace(cluster_offer("g6.xlarge"), provider="auto")
    with (
        ExitStack() as stack,
        serving(cloud) as server,
        running_cluster(environment={"AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url}) as cluster,
        workers(cluster, tmp_path, offers=(offer,)) as (_, listener),
    ):
        launched_s = int(time.time()) + 1
        cloud.identity["pendingTime"] = f"{datetime.fromtimestamp(launched_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
        stack.enter_context(cluster.node())
        start = listener.first(WorkerStarting)
        assert start.node_since_ns == launched_s * SECOND
        node = start.node
        assert (node.provider, node.node_id, node.zone) == ("aws", "i-0123456789abcdef0", "us-east-1b")
        assert (node.node_type, node.market) == ("g6e.xlarge", "spot")
        assert node.price_source == "configuration, for g6.xlarge spot"
        cloud.values["meta-data/events/recommendations/rebalance"] = json.dumps({"noticeTime": "2026-11-18T11:07:40Z"})
        assert listener.first(NoticeSeen).kind == "rebalance"
        known = len(listener.heard)
        cloud.interrupt(100)
        seen = listener.first(NoticeSeen, after=known)
        assert (seen.kind, seen.source) == ("reclaim", "aws")


@contextmanager
def blocking_node(cluster: RayCluster) -> Iterator[subprocess.Popen[bytes]]:
    """A node as `ray start --block` runs it, which is how a container does."""
    ray = Path(sys.executable).parent / "ray"
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    command = [ray, "start", f"--address={cluster.address}", "--num-cpus=1", "--block", "--disable-usage-stats"]
    environ = os.environ | {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "8", "RAY_TMPDIR": folder}
    started = subprocess.Popen(
        [*map(str, command), "--object-store-memory=80000000"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children: list[psutil.Process] = []
    try:
        yield started
        children = psutil.Process(started.pid).children(recursive=True) if started.poll() is None else []
    finally:
        started.kill()
        started.wait()
        for child in children:
            if child.is_running():
                child.kill()


def test_sigterm_to_a_blocking_node_is_a_notice(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """As kubelet ends a pod: Ray drains itself for the grace period, and then is gone."""
    with blocking_node(ray_cluster) as node, workers(ray_cluster, tmp_path) as (_, listener):
        worker = listener.first(WorkerReady).worker
        node.send_signal(signal.SIGTERM)
        seen = listener.first(NoticeSeen)
        assert (seen.worker, seen.kind, seen.source) == (worker, "reclaim", "ray")
        assert seen.deadline_ns - time.time_ns() < 9 * SECOND
        lost = listener.first(WorkerLost)
        assert (lost.worker, lost.cause) == (worker, "PREEMPTED")
        assert lost.node_lost or listener.first(NodeGone).cause == "PREEMPTED"


def test_black_hole_is_seen_within_seconds_and_avoided(tmp_path: Path) -> None:
    """A node that stops altogether is lost before Ray sees it, its worker is replaced elsewhere, and may come back."""
    slow = {"RAY_health_check_timeout_ms": "20000", "RAY_health_check_period_ms": "20000"}
    with (
        running_cluster(environment=slow) as cluster,
        cluster.node() as node,
        workers(cluster, tmp_path, heartbeat_timeout_seconds=4.0) as (_, listener),
    ):
        first = listener.first(WorkerStarting)
        listener.first(WorkerReady)
        stopped = processes_of(node)
        for process in stopped:
            process.suspend()
        lost = listener.first(WorkerLost)
        assert (lost.worker, lost.cause, lost.node_lost) == (first.worker, "INFRASTRUCTURE", True)
        assert "fell silent" in lost.message
        with cluster.node() as other:
            second = listener.first(WorkerStarting, after=listener.heard.index(lost))
            assert second.node.node_id == other.node_id
            known = len(listener.heard)
            for process in stopped:
                process.resume()
            listener.first(WorkerReady, worker=second.worker)
            listener.wait(lambda events: len(events) > known + 3)
            assert first.worker not in {event.worker for event in listener.heard[known:]}


def watcher_process(node: Any) -> psutil.Process | None:
    """The watcher of a node, if it runs."""
    (raylet,) = node.all_processes["raylet"]
    children = psutil.Process(raylet.process.pid).children(recursive=True)
    return next((child for child in children if "NodeWatcher" in " ".join(child.cmdline())), None)


def processes_of(node: Any) -> list[psutil.Process]:
    """The raylet of a node, and all that it started."""
    (raylet,) = node.all_processes["raylet"]
    own = psutil.Process(raylet.process.pid)
    assert worker_processes(node)
    return [own, *own.children(recursive=True)]
