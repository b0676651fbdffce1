"""Why no worker comes is said in words, with what would bring one; never of a worker that a node could hold."""

from dataclasses import replace
from typing import Any

import pytest

from infra.compute.backoff import Backoff
from infra.compute.ray_demand import Demand, demands
from infra.compute.ray_places import Member, Place
from infra.compute.ray_shortage import WAIT_SECONDS, Shortages, shortage
from pipeline.job import NodeOffer
from tests.infra.compute.jobs import cluster_offer

HEAD = {"Labels": {}, "Resources": {"CPU": 0.0}}
SPOT = {"ray.io/market-type": "spot", "spotrender.io/node-type": "box"}


def node(labels: dict[str, str], **resources: float) -> dict[str, Any]:
    """A living one, as Ray tells it."""
    return {"Labels": labels, "Resources": resources}


def demand(*offers: NodeOffer) -> Demand:
    """That of the first offer."""
    return demands(offers, cpus_per_worker=1, machine_has_gpu=False)[0]


CPU_BOX = cluster_offer("box")
GPU_BOX = replace(CPU_BOX, gpu="")


@pytest.mark.parametrize(
    ("offers", "nodes", "said"),
    [
        ((GPU_BOX,), [HEAD, node(SPOT, CPU=8.0)], "of 2 nodes there with such labels none has a GPU"),
        (
            (GPU_BOX, cluster_offer("other")),
            [HEAD],
            "of 1 node there none is labelled spotrender.io/node-type=box",
        ),
        ((CPU_BOX,), [HEAD], "of 1 node there with such labels none has CPUs for it"),
        ((CPU_BOX,), [node({"ray.io/market-type": "on-demand"}, CPU=8.0)], "is labelled ray.io/market-type=!on-demand"),
        ((CPU_BOX,), [HEAD, node(SPOT, CPU=1.0)], ""),
        ((CPU_BOX,), [node({}, CPU=1.0)], ""),
        ((GPU_BOX,), [node({}, CPU=1.0, GPU=1.0)], ""),
    ],
)
def test_what_no_node_can_hold_is_told_with_its_reason(
    offers: tuple[NodeOffer, ...], nodes: list[dict[str, Any]], said: str
) -> None:
    """Labels first, then what the nodes with these labels have."""
    why = shortage(demand(*offers), nodes)
    assert said in why
    assert bool(why) == bool(said)


def test_it_is_said_once_and_only_when_it_lasts() -> None:
    """A node that joins in time keeps it unsaid; of many workers of a kind one remark is made."""
    members = [Member(f"w{number}", Place(demand(CPU_BOX), Backoff(most_seconds=1.0)), None) for number in range(3)]
    shortages = Shortages()

    def look(now: float, *nodes: dict[str, Any]) -> int:
        """How many remarks are made."""
        return len(shortages.look(members, list(nodes), now=now, at_ns=0))

    assert look(0.0, HEAD) == 0
    assert look(WAIT_SECONDS - 1, HEAD, node(SPOT, CPU=1.0)) == 0
    assert look(WAIT_SECONDS, HEAD) == 0
    assert look(2 * WAIT_SECONDS, HEAD) == 1
    assert look(9 * WAIT_SECONDS, HEAD) == 0
