"""What a new worker is to be, from what it, its node and Ray say of where it stands."""

import logging
from collections.abc import Mapping
from typing import Any

from infra.compute.assemble import Post
from infra.compute.ray_places import Member, within_size
from infra.compute.spec import ComputeSpec
from infra.providers.reports import Identity
from infra.providers.table import Sighting, identify

_LOG = logging.getLogger(__name__)


def other_code(hello: Mapping[str, Any], ours: str) -> str:
    """Why a worker that says this of itself runs other code than the driver; empty if it does not."""
    if hello["code_version"] == ours:
        return ""
    return (
        f"node {hello['node_id'][:12]} runs other code ({hello['code_version']}) than the driver ({ours}): "
        "install the driver's version of Spotrender there, or let it be sent along"
    )


def seat(
    member: Member,
    spec: ComputeSpec,
    *,
    identity: Identity | None,
    resources: Mapping[str, float],
    sizes: dict[str, int],
) -> Post:
    """The post of a worker that said hello.

    Args:
        member: it, with its node and slot.
        spec: what the driver wants.
        identity: what the node said of itself.
        resources: what Ray says that the node has.
        sizes: node session -> GPUs that it began with; kept up here.
    """
    demand, hello = member.place.demand, member.hello or {}
    sighting = Sighting(
        job=spec.job,
        node_id=member.node_id,
        labels=hello.get("labels", {}),
        gpu=hello.get("gpu", ""),
        gpu_count=max(demand.node_workers(resources), member.slot + 1),
        node_gpus=int(resources.get("GPU", 0)) if demand.gpus else 0,
        identity=identity,
    )
    node = identify(demand.offer, sighting)
    if node.node_session not in sizes and (node.node_type, node.market) != (demand.offer.type, demand.offer.market):
        _LOG.warning(
            "node %s says that it is %s %s, but %s %s was offered; it is priced as what it says",
            node.node_id,
            node.node_type,
            node.market,
            demand.offer.type,
            demand.offer.market,
        )
    node, gpu_index = within_size(node, member.slot, sizes)
    threads = 0 if demand.gpus else spec.threads or demand.cpus
    return Post(spec=spec, name=member.name, node=node, gpu_index=gpu_index, device=demand.device, threads=threads)
