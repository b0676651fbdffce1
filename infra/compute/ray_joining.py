"""Connects a driver to the Ray that its spec asks for, and says what workers there need."""

import os
from contextlib import AbstractContextManager

from infra.compute.cache_key import CACHE_SECRET, cache_key, compiles
from infra.compute.ray_session import cluster, local_ray, usable_cpus
from infra.compute.spec import ComputeSpec


def joined(spec: ComputeSpec) -> AbstractContextManager[None]:
    """A connection to the cluster, or a Ray of our own that is large enough; entered on the main thread.

    Raises:
        ClusterRefusedError: on entering: there is no such cluster, or no Ray could be started.
    """
    if spec.address is not None:
        return cluster(spec.address, ship_code=spec.ship_code)
    workers = max(offer.gpus for offer in spec.offers)
    on_cpu = all(offer.gpu == "cpu" for offer in spec.offers)
    cpus = max(usable_cpus(), worker_cpus(spec) * workers)
    return local_ray(cpus=cpus, gpus=0 if on_cpu else None, tmp_dir=spec.ray_tmp_dir)


def worker_cpus(spec: ComputeSpec) -> int:
    """CPUs of each CPU worker: on our own Ray the machine's, shared out."""
    if spec.address is not None:
        return spec.cpus_per_worker or 1
    return spec.cpus_per_worker or max(1, usable_cpus() // max(offer.gpus for offer in spec.offers))


def worker_secrets(spec: ComputeSpec) -> dict[str, str]:
    """What workers of a cluster need and must not read from a runtime environment, which anyone may look at.

    The hub's token, and the key of compiled code: for the store each node has credentials of its own. Our own Ray
    inherits everything, and its workers are this user's processes.
    """
    if spec.address is None:
        return {}
    token = os.environ.get("HF_TOKEN")
    key = cache_key(os.environ).decode() if compiles(spec) else ""
    return ({"HF_TOKEN": token} if token else {}) | ({CACHE_SECRET: key} if key else {})
