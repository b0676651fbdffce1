"""Starts the Rays that are ours, as `python -m tests.infrastructure.own_rays`: a token stays with its process for good.

Says on stdout, a line for each Ray, what strangers are answered, and its own driver.
"""

import json
import os

import ray

from infra.compute.local_cluster import local_cluster
from infra.compute.ray_session import cluster, local_ray
from tests.infrastructure.strangers import answer


def main() -> None:
    """A rehearsal's cluster, then the Ray of a job on this machine."""
    with local_cluster() as running:
        running.add()
        running.settle()
        with cluster(running.address, ship_code=False):
            nodes = sum(node["Alive"] for node in ray.nodes())
        say(running.address, nodes=nodes, mode=os.environ["RAY_AUTH_MODE"])
    with local_ray(cpus=1, gpus=0, tmp_dir=None):
        say(ray.get_runtime_context().gcs_address, nodes=len(ray.nodes()), mode=os.environ["RAY_AUTH_MODE"])
    say("", nodes=0, mode=os.environ.get("RAY_AUTH_MODE", ""))


def say(address: str, *, nodes: int, mode: str) -> None:
    """One line."""
    tokens = (None, "0" * 64, os.environ["RAY_AUTH_TOKEN"]) if address else ()
    told = [answer(address, token).name for token in tokens]
    print(json.dumps({"answers": told, "nodes": nodes, "mode": mode}), flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
