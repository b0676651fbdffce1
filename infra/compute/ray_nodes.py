"""What Ray knows of the cluster's nodes: which live, which drain, and whether a silent one still answers."""

import contextlib
import socket
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayError

from infra.compute.ray_drain import draining
from pipeline.ports import Clock

_REFRESH_SECONDS = 1.0
_CONNECT_SECONDS = 0.7
_PREEMPTED = 3
"""Ray's NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED."""


def nodes_by_id() -> dict[str, Mapping[str, Any]]:
    """Every node that Ray ever knew, dead ones included."""
    read: Any = ray.nodes  # has no types
    return {node["NodeID"]: node for node in read()}


class RayNodes:
    """A view of the nodes that is at most a second old.

    Args:
        clock: instants at which nodes are first seen.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._read_at = 0.0
        self._nodes: dict[str, Mapping[str, Any]] = {}
        self._first_seen: dict[str, int] = {}
        self._drained: dict[str, tuple[int, int]] = {}
        self._gone: set[str] = set()

    def refresh(self, *, force: bool = False) -> None:
        """Read the nodes again if the last reading is a second old; without an answer from Ray, that one stays."""
        if not force and time.monotonic() - self._read_at < _REFRESH_SECONDS:
            return
        with contextlib.suppress(RayError, ConnectionError, RuntimeError):
            self._nodes = nodes_by_id()
        self._read_at = time.monotonic()
        now_ns = self._clock.now_ns()
        for node_id, deadline_ns in draining().items():
            self._drained[node_id] = deadline_ns, self._drained.get(node_id, (0, now_ns))[1]
        for node_id, node in self._nodes.items():
            if node["Alive"]:
                self._first_seen.setdefault(node_id, now_ns)

    @property
    def alive(self) -> list[Mapping[str, Any]]:
        """Living nodes as Ray tells them, at the last reading."""
        return [node for node in self._nodes.values() if node["Alive"]]

    def resources(self, node_id: str) -> Mapping[str, float]:
        """Totals of one node: `CPU`, `GPU`."""
        if node_id not in self._nodes:
            self.refresh(force=True)
        node = self._nodes.get(node_id)
        return {} if node is None else node["Resources"]

    def first_seen_ns(self, node_id: str) -> int:
        """When the node was first seen; 0 for one that never was."""
        return self._first_seen.get(node_id, 0)

    def drained(self, node_id: str) -> tuple[int, int]:
        """Deadline of a drain, in nanoseconds (0: none was set), and when it was first seen; that is 0 without one.

        Ray takes no drain back, so a node stays drained also when it is dead.
        """
        return self._drained.get(node_id, (0, 0))

    def dead(self, node_id: str) -> bool:
        """Whether Ray said so at the last reading."""
        node = self._nodes.get(node_id)
        return node is not None and not node["Alive"]

    def back(self, node_id: str) -> None:
        """The node answers, so it is not gone."""
        self._gone.discard(node_id)

    def any_gpu(self) -> bool:
        """Whether any node has a GPU."""
        self.refresh(force=True)
        return any(node["Resources"].get("GPU", 0) for node in self._nodes.values() if node["Alive"])

    def lost(self, node_id: str) -> bool:
        """Whether the node is gone: Ray says so, or nothing listens any more where its raylet did."""
        if node_id in self._gone:
            return True
        self.refresh(force=True)
        node = self._nodes.get(node_id)
        if node is None or not node["Alive"] or not _answers(node):
            self._gone.add(node_id)
        return node_id in self._gone

    def preempted(self, node_id: str) -> bool:
        """Whether the cloud takes or took the node.

        A drain counts: Ray drains a node for idleness only when nothing runs there, and a worker did.
        """
        node = self._nodes.get(node_id, {})
        return node_id in self._drained or node.get("DeathReason") == _PREEMPTED


def _answers(node: Mapping[str, Any]) -> bool:
    """Whether something still listens on the raylet's port; a machine that is gone does not answer in time."""
    place = (node["NodeManagerAddress"], node["NodeManagerPort"])
    try:
        socket.create_connection(place, timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
