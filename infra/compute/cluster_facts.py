"""What a cluster is made of, and how it differs from here: what `doctor --address` shows."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from infra.compute.code_version import LIBRARIES, library_versions
from infra.compute.ray_nodes import nodes_by_id
from infra.compute.ray_session import cluster

_ANSWER_SECONDS = 60.0
"""A node may have to start a Python first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """One living node."""

    node_id: str
    host: str
    cpus: float
    gpus: float
    labels: Mapping[str, str]
    """Without Ray's own node id."""
    versions: Mapping[str, str]
    """Of Python and the libraries that matter; empty when the node did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """One cluster, seen from this process."""

    address: str
    here: Mapping[str, str]
    """Versions in this process."""
    nodes: tuple[NodeFacts, ...]

    def skew(self) -> tuple[str, ...]:
        """One line per node and library that differs from here, or is missing there, each with the remedy.

        Of Python only major and minor count, as Ray has it.
        """
        return tuple(line for node in self.nodes for line in self._skew_of(node))

    def _skew_of(self, node: NodeFacts) -> list[str]:
        if not node.versions:
            return [f"{node.host}: did not answer within {_ANSWER_SECONDS:.0f} s; look at `ray status` there"]
        lines = []
        for library, ours in self.here.items():
            theirs = node.versions.get(library, "")
            if library == "python" and _minor(theirs) == _minor(ours):
                continue
            if theirs != ours:
                remedy = f"install {library} {ours} there" if ours else f"install {library} {theirs} here"
                lines.append(f"{node.host}: {library} {theirs or 'is missing'}, here {ours or 'missing'}; {remedy}")
        return lines


def cluster_facts(address: str) -> ClusterFacts:
    """Look at every node of a cluster; runs a small function there that needs none of our code.

    Raises:
        ClusterRefusedError: there is no such cluster.
    """
    with cluster(address, ship_code=False):
        alive = [node for node in nodes_by_id().values() if node["Alive"]]
        calls = [_ask(node["NodeID"]) for node in alive]
        ray.wait(calls, num_returns=len(calls), timeout=_ANSWER_SECONDS)
        nodes = [_facts(node, _answer(call)) for node, call in zip(alive, calls, strict=True)]
    return ClusterFacts(address=address, here=library_versions(), nodes=tuple(nodes))


def cluster_size(address: str) -> tuple[int, int]:
    """Living nodes that can hold workers, and the GPUs of the largest of them (0: CPU workers, one a node).

    Where any node has a GPU, the others hold no workers.

    Raises:
        ClusterRefusedError: there is no such cluster.
    """
    with cluster(address, ship_code=False):
        resources = [node["Resources"] for node in nodes_by_id().values() if node["Alive"]]
    gpus = [int(node["GPU"]) for node in resources if node.get("GPU", 0) >= 1]
    return (len(gpus), max(gpus)) if gpus else (sum(1 for node in resources if node.get("CPU", 0) >= 1), 0)


def _ask(node_id: str) -> Any:
    """A call on this node for its versions; the function is sent by value, as it is local to this one."""
    libraries = LIBRARIES

    def versions() -> dict[str, str]:
        from importlib.metadata import PackageNotFoundError, version

        found = {"python": platform.python_version()}
        for library in libraries:
            try:
                found[library] = version(library)
            except PackageNotFoundError:
                found[library] = ""
        return found

    remote: Any = ray.remote(versions)
    return remote.options(num_cpus=0, max_retries=0, label_selector={"ray.io/node-id": node_id}).remote()


def _answer(call: Any) -> dict[str, str]:
    """What the node said; nothing when it did not."""
    try:
        answer: dict[str, str] = ray.get(call, timeout=0)
    except RayError:
        return {}
    return answer


def _facts(node: Mapping[str, Any], versions: Mapping[str, str]) -> NodeFacts:
    labels = {key: value for key, value in node["Labels"].items() if key != "ray.io/node-id"}
    return NodeFacts(
        node_id=node["NodeID"],
        host=node["NodeManagerHostname"],
        cpus=node["Resources"].get("CPU", 0.0),
        gpus=node["Resources"].get("GPU", 0.0),
        labels=labels,
        versions=versions,
    )


def _minor(version: str) -> str:
    """`3.11` of `3.11.7`."""
    return ".".join(version.split(".")[:2])
