"""The worker groups of a Ray cluster on Kubernetes: as in `infra/cluster/kubernetes`, one for each pool of the job."""

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final

import yaml

from jobs.cluster.target import Pool

FOLDER: Traversable = files("infra") / "cluster" / "kubernetes"

IMAGE: Final = "registry.example.com/spotrender:latest-cuda"
"""Stands in the base until somebody names another."""

TYPE_LABELS: Mapping[str, str] = {
    "plain": "spotrender.io/node-type",
    "aws-eks": "node.kubernetes.io/instance-type",
    "gke": "node.kubernetes.io/instance-type",
}
"""Label of Kubernetes' nodes that tells their type, by cloud."""

_PRIORITIES = {"spot": 10}


def worker_groups(pools: tuple[Pool, ...], *, cloud: str) -> list[dict[str, Any]]:
    """A group for each pool, as the cloud's overlay has spot and on-demand ones."""
    cluster = _read(FOLDER / "base" / "ray-cluster.yaml")
    if cloud != "plain":
        _patch(cluster, _read(FOLDER / "components" / cloud / "ray-cluster.yaml"))
    spot, on_demand = cluster["spec"]["workerGroupSpecs"]
    return [_group(_unshared(spot if pool.market == "spot" else on_demand), pool, cloud=cloud) for pool in pools]


def _read(place: Traversable) -> Any:
    """One of our files; what it names by anchor is there anew at each place."""
    return _unshared(yaml.safe_load(place.read_text(encoding="utf-8")))


def _group(group: dict[str, Any], pool: Pool, *, cloud: str) -> dict[str, Any]:
    """The group of one pool."""
    group["groupName"] = re.sub(r"[^a-z0-9]+", "-", pool.name.lower()).strip("-")
    group["maxReplicas"], group["priority"] = pool.max, _PRIORITIES.get(pool.market, 0)
    group["labels"] = dict(pool.labels)
    spec = group["template"]["spec"]
    spec["nodeSelector"] = {TYPE_LABELS[cloud]: pool.type}
    if pool.zones:
        required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        zones = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": list(pool.zones)}
        for term in required["nodeSelectorTerms"]:
            term["matchExpressions"].append(dict(zones))
    (container,) = spec["containers"]
    container["image"] = IMAGE
    container["env"].append({"name": "SPOTRENDER_NODE_TYPE", "value": pool.type})
    container["env"].append({"name": "SPOTRENDER_MARKET", "value": pool.market})
    _size(container["resources"], pool)
    return group


def _size(resources: dict[str, Any], pool: Pool) -> None:
    """CPUs and memory for each worker of the node, and the GPUs of all, or none."""
    gpus = pool.gpus if pool.gpu != "cpu" else 0
    resources["requests"] |= {"cpu": str(3 * max(1, gpus)), "memory": f"{12 * max(1, gpus)}Gi"}
    resources["limits"]["memory"] = resources["requests"]["memory"]
    for kind in resources.values():
        kind["nvidia.com/gpu"] = str(gpus)
        if not gpus:
            del kind["nvidia.com/gpu"]


def _unshared(value: Any) -> Any:
    """A copy that shares nothing with itself."""
    if isinstance(value, dict):
        return {key: _unshared(one) for key, one in value.items()}
    return [_unshared(one) for one in value] if isinstance(value, list) else value


def _patch(document: Any, operations: list[dict[str, Any]]) -> None:
    """JSON patch, as far as our components use it."""
    for operation in operations:
        *way, last = operation["path"].split("/")[1:]
        place = document
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        key: Any = int(last) if isinstance(place, list) and last != "-" else last
        match operation["op"]:
            case "add" if last == "-":
                place.append(operation["value"])
            case "add" | "replace":
                place[key] = operation["value"]
            case "remove":
                del place[key]
            case "test":
                if place[key] != operation["value"]:
                    raise ValueError(f"{operation['path']}: is not what the component expects")
            case unknown:
                raise ValueError(f"{unknown}: no operation that our components use")
