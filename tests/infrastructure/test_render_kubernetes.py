"""`cluster render --target kubernetes`: kubectl builds what it writes, and that is what the job asks for."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.compute.ray_demand import node_labels
from jobs.cluster.kubernetes_groups import worker_groups
from tests.infrastructure.custom_resources import problems
from tests.infrastructure.kustomize import KUBERNETES, built, cluster_of
from tests.jobs.cluster.made_cluster import job_file, rendered
from tests.jobs.cluster.test_any_cluster import MORE, with_options

pytestmark = pytest.mark.kubectl


@pytest.mark.parametrize("cloud", ["plain", "aws-eks", "gke"])
@pytest.mark.parametrize("kind", ["job", "cluster"])
def test_written_overlay_is_built_and_taken(
    kind: str, cloud: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every document is one that the API server would take; the groups are the job's pools, spot first."""
    roles = {"driver_role": "role-d", "worker_role": "role-w"} if cloud != "plain" else {}
    options = with_options(
        cloud=cloud, kind=kind, queue="renders", image="reg.acme.com/x:1.2", namespace="night", **roles
    )
    rendered(capsys, job_file(tmp_path, more=MORE), "kubernetes", *options, "--to", str(tmp_path / "k"))
    documents = built(tmp_path / "k")
    assert {key: found for key, document in documents.items() if (found := problems(document))} == {}
    assert {document["metadata"]["namespace"] for document in documents.values()} == {"night"}
    ray = {"job": "RayJob/autumn", "cluster": "RayCluster/spotrender"}[kind]
    assert [key for key in documents if key.startswith("Ray")] == [ray]
    assert documents[ray]["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "renders"
    spec = documents[ray]["spec"]["rayClusterSpec"] if kind == "job" else documents[ray]["spec"]
    groups = spec["workerGroupSpecs"]
    assert [(group["groupName"], group["maxReplicas"], group["priority"]) for group in groups] == [
        ("g6e-xlarge-spot", 8, 10),
        ("g7e-2xlarge-spot", 4, 10),
        ("g6e-xlarge-on-demand", 2, 0),
    ]
    assert groups[1]["labels"] == node_labels("g7e.2xlarge", "spot")
    assert list(groups[1]["template"]["spec"]["nodeSelector"].values()) == ["g7e.2xlarge"]
    for template in (spec["headGroupSpec"]["template"], *(group["template"] for group in groups)):
        assert [one["image"] for one in template["spec"]["containers"]] == ["reg.acme.com/x:1.2"]
    environment = spec["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    prices = [one["value"] for one in environment if one["name"] == "SPOTRENDER_HEAD_USD_PER_HOUR"]
    assert prices == (["0.1008"] if cloud == "aws-eks" else [])
    annotations = documents["ServiceAccount/spotrender-worker"]["metadata"].get("annotations", {})
    assert list(annotations.values()) == (["role-w"] if roles else [])


def test_groups_are_those_of_the_overlay(tmp_path: Path) -> None:
    """What kustomize makes of a cloud's component, and what we make of it, is the same but for what the job says."""
    from jobs.cluster.target import Pool

    said: dict[str, Any] = {"usd_per_hour": Decimal(1), "price_source": "", "provider": "auto", "gpu": "L4", "gpus": 1}
    pools = tuple(
        Pool(type="gpu", market=market, max=most, region="", zones=(), **said)
        for market, most in (("spot", 8), ("on_demand", 2))
    )
    for cloud in ("plain", "aws-eks", "gke"):
        ours = worker_groups(pools, cloud=cloud)
        theirs = cluster_of(built(KUBERNETES / "overlays" / cloud))["workerGroupSpecs"]
        for group, static in zip(ours, theirs, strict=True):
            assert group["template"]["spec"].pop("nodeSelector")
            del group["template"]["spec"]["containers"][0]["env"][-2:]
            assert group["labels"].pop("spotrender.io/node-type") == "gpu"
            assert group.pop("groupName") != static.pop("groupName")
            assert group == static


def test_zones_and_large_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pool's zones bind its pods, and a node of eight GPUs is one pod that has them all."""
    nodes = "[{type: p5.48xlarge, market: spot, max: 1, zone: us-east-1b}]"
    found = rendered(capsys, job_file(tmp_path, nodes=nodes), "kubernetes", "--to", str(tmp_path / "k"))
    assert any("spotrender.io/node-type=p5.48xlarge" in note for note in found["notes"])
    (group,) = cluster_of(
        {"RayJob/spotrender": built(tmp_path / "k")["RayJob/autumn"]},
    )["workerGroupSpecs"]
    spec = group["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"memory": "96Gi", "nvidia.com/gpu": "8"}
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"][0]["matchExpressions"][-1]["values"] == ["us-east-1b"]
