"""The process that keeps a local cluster: `python -m infra.compute.local_cluster_host`, told what to do on stdin.

Each line of stdin is an order as JSON, each line of stdout its answer. All nodes are children of this process and end
with it, however it ends; and it ends with its stdin, so it never outlives whoever started it.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import psutil
from ray.cluster_utils import Cluster

from infra.compute.ray_drain import drain
from infra.compute.ray_session import OBJECT_STORE_BYTES

_JOINING_SECONDS = 60.0


class ClusterHost:
    """A head without room for workers, and the nodes that come and go."""

    def __init__(self) -> None:
        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "include_log_monitor": False,
            },
        )
        self._nodes: dict[str, Any] = {}
        self.orders: Mapping[str, Callable[..., dict[str, Any]]] = {
            "add": self.add,
            "settle": self.settle,
            "announce": self.announce,
            "kill": self.kill,
        }

    @property
    def address(self) -> str:
        """Where drivers connect."""
        address: str = self._cluster.address
        return address

    def add(self, *, labels: dict[str, str], cpus: int) -> dict[str, Any]:
        """One more node; its processes run when this returns, and it is about to join."""
        node: Any = self._cluster.add_node(
            wait=False,
            num_cpus=cpus,
            num_gpus=0,
            labels=labels,
            object_store_memory=OBJECT_STORE_BYTES,
        )
        self._nodes[node.node_id] = node
        return {"node": node.node_id, "raylet": _raylet(node).pid}

    def settle(self) -> dict[str, Any]:
        """Wait until all nodes have joined."""
        self._cluster.wait_for_nodes(timeout=_JOINING_SECONDS)
        return {}

    def announce(self, *, node: str, seconds: float) -> dict[str, Any]:
        """Ray is told that the cloud takes the node after so many seconds."""
        deadline_ns = time.time_ns() + round(seconds * 1e9)
        refused = drain(node, deadline_ns=deadline_ns, why="a rehearsed reclaim", address=self.address)
        return {"heard": not refused}

    def kill(self, *, node: str) -> dict[str, Any]:
        """SIGKILL to every process of a node at the same time, as when its machine is switched off."""
        gone = self._nodes.pop(node, None)
        if gone is None:
            return {"killed": False}
        for process in _processes(gone):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._cluster.remove_node(gone, allow_graceful=False)
        return {"killed": True}

    def close(self) -> None:
        """End every node; whatever process is still there afterwards is killed by its id."""
        everything = psutil.Process().children(recursive=True)
        self._cluster.shutdown()
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _raylet(node: Any) -> Any:
    """The process of a node's raylet."""
    (info,) = node.all_processes["raylet"]
    return info.process


def _processes(node: Any) -> list[psutil.Process]:
    """All processes of a node, workers and agents included."""
    found: list[psutil.Process] = []
    for info in (info for infos in node.all_processes.values() for info in infos):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(info.process.pid)
            found += [process, *process.children(recursive=True)]
    return found


def main() -> None:
    """Start the head, say where it is, obey until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us decides, and closes stdin
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # Ray prints where it likes
        host = ClusterHost()
        try:
            _say(answers, {"address": host.address})
            for line in sys.stdin:
                _say(answers, _answer(host, json.loads(line)))
        finally:
            host.close()


def _answer(host: ClusterHost, order: dict[str, Any]) -> dict[str, Any]:
    """What came of one order."""
    do = host.orders[order.pop("do")]
    try:
        return do(**order)
    except Exception as error:  # noqa: BLE001 - whatever it is, who asked must hear of it, and the nodes live on
        return {"error": f"{type(error).__name__}: {error}"}


def _say(answers: TextIO, values: dict[str, Any]) -> None:
    """One line."""
    answers.write(json.dumps(values) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
