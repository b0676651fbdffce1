"""The Kubernetes files: the API server would take them, and what they promise of each other is kept."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from infra.compute.ray_demand import MARKET_LABEL
from jobs.nightly.nightly_file import load_nightly
from jobs.nightly.units import kubernetes_job
from tests.infrastructure.custom_resources import problems
from tests.infrastructure.kustomize import KUBERNETES, built, cluster_of

pytestmark = pytest.mark.kubectl

OVERLAYS = [f"{cloud}{kind}" for cloud in ("plain", "aws-eks", "gke") for kind in ("", "-job")]
LONGEST = {"plain": 3600, "aws-eks": 118, "gke": 25}
"""Seconds that the cloud leaves a pod of a spot node, after its notice."""

DRAIN = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


@cache
def _overlay(name: str) -> dict[str, dict[str, Any]]:
    return built(KUBERNETES / "overlays" / name)


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> tuple[str, dict[str, dict[str, Any]]]:
    """One overlay, built."""
    return request.param, copy.deepcopy(_overlay(request.param))


def _pods(documents: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The template of every pod that would be started."""
    spec = cluster_of(documents)
    found = [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]
    if "CronJob/spotrender-nightly" in documents:
        found.append(documents["CronJob/spotrender-nightly"]["spec"]["jobTemplate"]["spec"]["template"])
    else:
        found.append(documents["RayJob/spotrender"]["spec"]["submitterPodTemplate"])
    return found


def test_api_server_would_take_every_document(overlay: tuple[str, dict[str, dict[str, Any]]]) -> None:
    """No field is unknown and each has its type; a standing cluster, or a job with a cluster of its own."""
    name, documents = overlay
    assert {key: found for key, document in documents.items() if (found := problems(document))} == {}
    assert ("RayJob/spotrender" in documents) == name.endswith("-job") == ("RayCluster/spotrender" not in documents)


BOGUS: dict[str, Callable[[dict[str, Any]], object]] = {
    "field of KubeRay": lambda spec: spec.update(workerGroups=[]),
    "field of a group": lambda spec: spec["workerGroupSpecs"][0].update(spot=True),
    "field of a pod": lambda spec: spec["workerGroupSpecs"][1]["template"]["spec"].update(gracePeriod=9),
    "field deep in a pod": lambda spec: spec["headGroupSpec"]["template"]["spec"]["volumes"][0]["emptyDir"].update(x=1),
    "word for a number": lambda spec: spec["workerGroupSpecs"][0].update(maxReplicas="8"),
    "unknown mode": lambda spec: spec["authOptions"].update(mode="password"),
    "missing group name": lambda spec: spec["workerGroupSpecs"][0].pop("groupName"),
}


@pytest.mark.parametrize("bogus", BOGUS)
def test_the_check_sees_what_is_wrong(bogus: str) -> None:
    """Each of these would be refused, or worse, dropped in silence."""
    for name in ("aws-eks", "gke-job"):
        documents = copy.deepcopy(_overlay(name))
        BOGUS[bogus](cluster_of(documents))
        assert [key for key, document in documents.items() if problems(document)]


def test_core_kinds_are_checked_too() -> None:
    """A misspelt field of Kubernetes' own is refused, and a monitor's."""
    documents = copy.deepcopy(_overlay("plain"))
    documents["CronJob/spotrender-nightly"]["spec"]["timezone"] = "Europe/Berlin"
    documents["NetworkPolicy/spotrender-ray"]["spec"]["ingres"] = []
    documents["PodMonitor/spotrender"]["spec"]["podMetricsEndpoints"][0]["ports"] = 8080
    assert len([key for key, document in documents.items() if problems(document)]) == 3


def test_a_pod_outlives_its_drain_and_not_its_node(overlay: tuple[str, dict[str, dict[str, Any]]]) -> None:
    """What Ray is told to wait fits into the pod's grace period with time to end, and that into the cloud's notice."""
    name, documents = overlay
    for group in cluster_of(documents)["workerGroupSpecs"]:
        spec = group["template"]["spec"]
        environment = {one["name"]: one.get("value") for one in spec["containers"][0]["env"]}
        drain, grace = float(environment[DRAIN]), spec["terminationGracePeriodSeconds"]
        assert 10 <= drain <= grace - 10
        if group["groupName"] == "spot":
            assert grace <= LONGEST[name.removesuffix("-job")]
        assert "lifecycle" not in spec["containers"][0]  # `ray stop` before SIGTERM would take the notice away


def test_spot_comes_first_and_the_head_stays_off_it(overlay: tuple[str, dict[str, dict[str, Any]]]) -> None:
    """Priority and labels as Ray's autoscaler and our demands read them; the head tolerates no spot node."""
    spec = cluster_of(overlay[1])
    spot, on_demand = spec["workerGroupSpecs"]
    assert spot["priority"] > on_demand["priority"]
    assert [group["labels"][MARKET_LABEL] for group in (spot, on_demand)] == ["spot", "on-demand"]
    assert [group["minReplicas"] for group in (spot, on_demand)] == [0, 0]
    head = spec["headGroupSpec"]["template"]["spec"]
    assert "tolerations" not in head
    terms = head["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {one["operator"] for term in terms for one in term["matchExpressions"]} == {"NotIn"}
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_pods_may_do_no_more_than_they_need(overlay: tuple[str, dict[str, dict[str, Any]]]) -> None:
    """No root, no capabilities, no escalation; only the head, for its autoscaler, may ask the Kubernetes API."""
    for template in _pods(overlay[1]):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["image"] != "spotrender"
            if container["name"] != "ray-head":
                assert spec["automountServiceAccountToken"] is False


def test_network_policy_knows_every_pod_and_port(overlay: tuple[str, dict[str, dict[str, Any]]]) -> None:
    """Ray nodes are reached by Ray nodes; others reach one port each, which the pods have, and none reaches all."""
    documents = overlay[1]
    policy = documents["NetworkPolicy/spotrender-ray"]["spec"]
    ray_nodes = policy["podSelector"]["matchLabels"]
    named = {port["name"]: port["containerPort"] for port in _pods(documents)[0]["spec"]["containers"][0]["ports"]}
    for template in _pods(documents):
        labels = template["metadata"]["labels"]
        is_ray = template["spec"]["containers"][0]["name"] in {"ray-head", "ray-worker"}
        assert (ray_nodes.items() <= labels.items()) == is_ray
        assert labels["spotrender.io/part"] == ("ray" if is_ray else "client")
    own, *others = policy["ingress"]
    assert own == {"from": [{"podSelector": {"matchLabels": ray_nodes}}]}
    assert [[port["port"] for port in rule["ports"]] for rule in others] == [
        [named["dashboard"]],
        [named["dashboard"]],
        [named["metrics"]],
    ]
    monitor = documents["PodMonitor/spotrender"]["spec"]
    assert monitor["selector"]["matchLabels"] == ray_nodes
    assert [endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]] == ["metrics"]


def test_token_is_asked_for_and_handed_to_the_caller(overlay: tuple[str, dict[str, dict[str, Any]]]) -> None:
    """KubeRay makes a secret of the cluster's name; the nightly caller reads it, and nothing holds a token itself."""
    documents = overlay[1]
    spec = cluster_of(documents)
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["rayVersion"] == ray.__version__
    if "CronJob/spotrender-nightly" in documents:
        (container,) = _pods(documents)[-1]["spec"]["containers"]
        environment = {one["name"]: one for one in container["env"]}
        secret = environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": documents["RayCluster/spotrender"]["metadata"]["name"], "key": "auth_token"}


def test_nightly_file_is_one_and_names_the_cluster(tmp_path: Path) -> None:
    """The config map's files are read as `nightly run` reads them."""
    documents = _overlay("aws-eks")
    for name, text in documents["ConfigMap/spotrender-files"]["data"].items():
        (tmp_path / name).write_text(text)
    (entry,) = load_nightly(str(tmp_path / "nightly.yaml")).nightly
    head = f"{documents['RayCluster/spotrender']['metadata']['name']}-head-svc"
    ports = _pods(documents)[0]["spec"]["containers"][0]["ports"]
    dashboard = next(port["containerPort"] for port in ports if port["name"] == "dashboard")
    assert entry.address == f"http://{head}:{dashboard}"
    assert (tmp_path / entry.job).is_file()


def test_kueue_gets_its_label(tmp_path: Path) -> None:
    """Laid over any overlay, the component names the queue of cluster or job."""
    (tmp_path / "kubernetes").symlink_to(KUBERNETES)
    for name, key in (("plain", "RayCluster/spotrender"), ("gke-job", "RayJob/spotrender")):
        text = f"resources: [kubernetes/overlays/{name}]\ncomponents: [kubernetes/components/kueue]\n"
        (tmp_path / "kustomization.yaml").write_text(text)
        documents = built(tmp_path)
        assert [name for name in documents if name.startswith("Ray")] == [key]
        document = documents[key]
        assert document["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "spotrender"
        assert problems(document) == []


def test_cron_job_that_nightly_install_prints() -> None:
    """`nightly install --kubernetes` writes a CronJob that is one."""
    assert problems(yaml.safe_load(kubernetes_job(["spotrender", "nightly", "run", "nightly.yaml"], "/work"))) == []
