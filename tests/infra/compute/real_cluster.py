"""A real Ray cluster of several nodes on this machine."""

import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from infra.compute.ray_session import LOCAL_ENVIRONMENT, OBJECT_STORE_BYTES


class RayCluster:
    """A head without room for workers, and nodes that come and go.

    Args:
        head: more arguments of Ray for its head.
    """

    def __init__(self, head: Mapping[str, Any]) -> None:
        quiet_head = {"num_cpus": 0, "object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=quiet_head | dict(head))

    @property
    def address(self) -> str:
        """Where a driver connects."""
        address: str = self._cluster.address
        return address

    @property
    def dashboard(self) -> str:
        """Where jobs are handed over, if the head has `dashboard_arguments`."""
        head: Any = self._cluster.head_node
        return f"http://{head.webui_url}"

    def add(self, *, labels: dict[str, str] | None = None, gpus: int = 0) -> Any:
        """One more node with room for one CPU worker, and with GPUs that are only said to be there."""
        return self._cluster.add_node(
            num_cpus=1, num_gpus=gpus, labels=labels or {}, object_store_memory=OBJECT_STORE_BYTES
        )

    def kill(self, node: Any) -> None:
        """SIGKILL to all of a node's processes."""
        self._cluster.remove_node(node, allow_graceful=False)

    def drain(self, node: Any, *, seconds: float) -> bool:
        """Announce that the cloud takes this node; whether Ray took note."""
        client: Any = GcsClient(address=self.address)
        reasons: Any = autoscaler_pb2
        reason = reasons.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        deadline_ms = round((time.time() + seconds) * 1000)
        accepted, _ = client.drain_node(node.node_id, reason, "the cloud takes it", deadline_ms)
        return bool(accepted)

    @contextmanager
    def node(self, *, labels: dict[str, str] | None = None, gpus: int = 0) -> Iterator[Any]:
        """A node for the time of a test, which may kill it itself."""
        added = self.add(labels=labels, gpus=gpus)
        try:
            yield added
        finally:
            if added in self._cluster.worker_nodes:
                self._cluster.remove_node(added, allow_graceful=True)

    def close(self) -> None:
        """End every node."""
        self._cluster.shutdown()


def dashboard_arguments() -> dict[str, Any]:
    """Arguments of a head that has a dashboard, on free ports: the usual ones may be another Ray's on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, agent_port = first.getsockname()[1], second.getsockname()[1]
    return {
        "include_dashboard": True,
        "dashboard_host": "127.0.0.1",
        "dashboard_port": port,
        "dashboard_agent_listen_port": agent_port,
    }


def worker_processes(node: Any) -> list[psutil.Process]:
    """The worker actors of one node."""
    (raylet,) = node.all_processes["raylet"]
    children = psutil.Process(raylet.process.pid).children(recursive=True)
    return [child for child in children if "WorkerActor" in " ".join(child.cmdline())]


@contextmanager
def running_cluster(*, environment: Mapping[str, str] | None = None, **head: Any) -> Iterator[RayCluster]:
    """A cluster that has only its head; it sees a node's death within seconds.

    Args:
        environment: variables that its nodes start with.
        head: more arguments of Ray for its head.
    """
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    own = {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {**LOCAL_ENVIRONMENT, **own, **(environment or {})}.items():
            patched.setenv(name, value)
        # Workers must find our packages through what a driver sends, not because the nodes start in our folder.
        patched.delenv("PYTHONPATH", raising=False)
        started = RayCluster(head)
        try:
            yield started
        finally:
            started.close()
            shutil.rmtree(folder, ignore_errors=True)
