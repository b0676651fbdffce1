"""A cluster on Kubernetes by KubeRay: a kustomize overlay of `infra/cluster/kubernetes`, for one job or to stay."""

from typing import Any

import yaml

from jobs.cluster.any_machine import NO_HEAD_PRICE, check_label, head_lines, pool_line
from jobs.cluster.heads import read_heads
from jobs.cluster.job_files import job_files
from jobs.cluster.kubernetes_groups import FOLDER, IMAGE, TYPE_LABELS, worker_groups
from jobs.cluster.kubernetes_options import KubernetesOptions
from jobs.cluster.options import read_options
from jobs.cluster.rendering_mark import MARK
from jobs.cluster.target import Line, Rendering, Wanted
from pipeline.errors import JobFileError

_ROLE_ANNOTATIONS = {"aws-eks": "eks.amazonaws.com/role-arn", "gke": "iam.gke.io/gcp-service-account"}


def render(wanted: Wanted) -> Rendering:
    """The overlay, and what it costs.

    Raises:
        JobFileError: a node that is no type of Kubernetes' nodes, something on this machine alone, or an option that
            makes no sense.
    """
    options = read_options(wanted.options, KubernetesOptions)
    for pool in wanted.pools:
        check_label(pool.type)
        if pool.market == "local":
            raise JobFileError(f"nodes: {pool.type} is this machine; name types of the cluster's nodes")
    if options.cloud == "plain" and (options.driver_role or options.worker_role):
        raise JobFileError("--with driver_role and worker_role: are of a cloud; say cloud=aws-eks or gke with them")
    return Rendering(
        lines=(*_head(options), *map(pool_line, wanted.pools)),
        creates=_creates(wanted, options),
        files={name: _marked(text) for name, text in _files(wanted, options).items()},
        notes=_notes(wanted, options),
        next=_next(wanted, options),
    )


def _marked(text: str) -> str:
    return f"# {MARK}\n{text}"


def _files(wanted: Wanted, options: KubernetesOptions) -> dict[str, str]:
    """All texts, by path."""
    parts = ["base", *([] if options.cloud == "plain" else [f"components/{options.cloud}"])]
    parts += ["components/kueue"] if options.queue else []
    parts += ["job"] if options.kind == "job" else []
    found = {
        f"{part}/{file.name}": file.read_text(encoding="utf-8")
        for part in parts
        for file in sorted((FOLDER / part).iterdir(), key=lambda one: one.name)
    }
    groups = worker_groups(wanted.pools, cloud=options.cloud)
    patch: list[dict[str, Any]] = [{"op": "replace", "path": "/spec/workerGroupSpecs", "value": groups}]
    for line in _head(options):  # reports then count it
        price = {"name": "SPOTRENDER_HEAD_USD_PER_HOUR", "value": f"{line.usd_per_hour:f}"}
        patch.append({"op": "add", "path": "/spec/headGroupSpec/template/spec/containers/0/env/-", "value": price})
    found["cluster/workers.yaml"] = _yaml(patch)
    found["cluster/kustomization.yaml"] = _yaml(_cluster(options))
    if options.kind == "job":
        found["files.yaml"] = _yaml(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "spotrender-files"},
                "data": job_files(wanted.job),
            }
        )
    found["kustomization.yaml"] = _yaml(_top(wanted.job.name, options))
    return found


def _cluster(options: KubernetesOptions) -> dict[str, Any]:
    """The base with the cloud's labels, this job's workers, and its roles."""
    patches: list[dict[str, Any]] = [{"target": {"kind": "RayCluster"}, "path": "workers.yaml"}]
    for account, role in (("spotrender-driver", options.driver_role), ("spotrender-worker", options.worker_role)):
        if role:
            value = {_ROLE_ANNOTATIONS[options.cloud]: role}
            patch = _yaml([{"op": "replace", "path": "/metadata/annotations", "value": value}])
            patches.append({"target": {"kind": "ServiceAccount", "name": account}, "patch": patch})
    if options.kind == "cluster":  # what comes by the clock has overlays of its own
        annotation = {"config.kubernetes.io/local-config": "true"}
        patch = _yaml([{"op": "add", "path": "/metadata/annotations", "value": annotation}])
        patches.append({"target": {"kind": "CronJob"}, "patch": patch})
    cloud = {} if options.cloud == "plain" else {"components": [f"../components/{options.cloud}"]}
    return _kustomization({"resources": ["../base"], **cloud, "patches": patches})


def _top(job: str, options: KubernetesOptions) -> dict[str, Any]:
    """What `kubectl apply -k` is given."""
    name, _, tag = options.image.rpartition(":")
    top: dict[str, Any] = {"namespace": options.namespace, "resources": ["cluster"]}
    components = ["job"] if options.kind == "job" else []
    patches = []
    if options.kind == "job":
        top["resources"].append("files.yaml")
        rename = _yaml([{"op": "replace", "path": "/metadata/name", "value": job}])
        patches.append({"target": {"kind": "RayJob"}, "patch": rename})
    if options.queue:
        components.append("components/kueue")
        label = {"op": "replace", "path": "/metadata/labels/kueue.x-k8s.io~1queue-name", "value": options.queue}
        patches.append({"target": {"group": "ray.io", "kind": "RayCluster|RayJob"}, "patch": _yaml([label])})
    if components:
        top["components"] = components
    if options.image:
        top["images"] = [{"name": IMAGE.rpartition(":")[0], "newName": name, "newTag": tag}]
    if patches:
        top["patches"] = patches
    return _kustomization(top)


def _kustomization(values: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **values}


def _yaml(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def _head(options: KubernetesOptions) -> tuple[Line, ...]:
    """On EKS a small node of the head's own; elsewhere what was said."""
    if options.head_usd_per_hour is not None or options.cloud != "aws-eks":
        return head_lines(options.head_usd_per_hour)
    head = read_heads().head("aws")
    source, name = f"configs/heads.yaml ({head.source}, {head.as_of})", f"head {head.type}"
    return (Line(name=name, market="on_demand", count=1, usd_per_hour=head.usd_per_hour, price_source=source),)


def _creates(wanted: Wanted, options: KubernetesOptions) -> tuple[str, ...]:
    workers = ", ".join(f"{pool.max} x {pool.type} {pool.market.replace('_', ' ')}" for pool in wanted.pools)
    stays = "gone two minutes after the job's end" if options.kind == "job" else "the head stays until it is deleted"
    return (
        f"a Ray cluster in the namespace {options.namespace}: one head, and up to {workers}; {stays}",
        "worker pods come as the job asks for them; your autoscaler brings their nodes, and takes idle ones",
        "two service accounts, two network policies, a pod monitor",
    )


def _notes(wanted: Wanted, options: KubernetesOptions) -> tuple[str, ...]:
    notes = []
    if options.head_usd_per_hour is None and options.cloud != "aws-eks":
        notes.append(NO_HEAD_PRICE)
    if not options.image:
        notes.append(f"the image is {IMAGE} until --with image=... names yours (infra/cluster/docker)")
    if options.cloud != "plain" and not (options.driver_role and options.worker_role):
        notes.append("the service accounts have roles of an example: say --with driver_role=... and worker_role=...")
    labels = ", ".join(dict.fromkeys(f"{TYPE_LABELS[options.cloud]}={pool.type}" for pool in wanted.pools))
    if options.cloud == "plain":
        notes.append(f"label your nodes: {labels}, and spotrender.io/market=spot on those that may be taken")
    return tuple(notes)


def _next(wanted: Wanted, options: KubernetesOptions) -> tuple[str, ...]:
    space = f"-n {options.namespace}"
    if options.kind == "job":
        return (
            "kubectl apply -k {folder}",
            f"spotrender list --store {wanted.job.store}    # from anywhere; then status, wait, logs, report",
            "kubectl delete -k {folder}",
        )
    secret = f"kubectl get secret spotrender {space} -o jsonpath='{{.data.auth_token}}' | base64 -d"
    return (
        "kubectl apply -k {folder}",
        f"kubectl port-forward {space} service/spotrender-head-svc 8265    # and, while that runs:",
        f"export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$({secret})",
        "spotrender submit JOB.yaml --address http://127.0.0.1:8265 --detach",
        "kubectl delete -k {folder}",
    )
