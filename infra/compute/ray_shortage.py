"""Says why no worker comes: the cluster has no node on which Ray could ever place it, as it is now."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from infra.compute.ray_demand import Demand
from infra.compute.ray_places import Member
from pipeline.events import Remark

WAIT_SECONDS: Final = 60.0
"""For so long a worker's place may be without a node before it is said."""


class Shortages:
    """What was said, of each kind of worker once."""

    def __init__(self) -> None:
        self._since: dict[Any, float] = {}
        self._said: set[Any] = set()

    def look(
        self, members: Iterable[Member], nodes: Sequence[Mapping[str, Any]], *, now: float, at_ns: int
    ) -> list[Remark]:
        """Remarks upon workers that have waited for too long for a node that is not there.

        Args:
            members: all workers.
            nodes: living ones, as `ray.nodes()` has them.
            now: monotonic seconds.
            at_ns: the same instant of the clock.
        """
        remarks = []
        for member in members:
            demand = member.place.demand
            if member.node_id or demand.kind in self._said:
                continue
            why = shortage(demand, nodes)
            since = self._since.setdefault(demand.kind, now) if why else self._since.pop(demand.kind, now)
            if why and now - since >= WAIT_SECONDS:
                self._said.add(demand.kind)
                remarks.append(Remark(worker=member.name, at_ns=at_ns, about=f"nodes {demand.kind}", message=why))
        return remarks


def shortage(demand: Demand, nodes: Sequence[Mapping[str, Any]]) -> str:
    """Why none of these nodes can hold such a worker, however free it is, with the remedy; empty where one can."""
    labelled = [node for node in nodes if _bears(node["Labels"], demand.labels)]
    needs = {"GPU": float(demand.gpus), "CPU": float(demand.cpus)}
    if any(all(node["Resources"].get(name, 0.0) >= least for name, least in needs.items()) for node in labelled):
        return ""
    offer = demand.offer
    who = f"no worker for {offer.type} ({offer.market.replace('_', ' ')}) yet, unless an autoscaler brings a node:"
    if not labelled:
        labels = ",".join(f"{name}={value}" for name, value in demand.labels.items())
        return f"{who} of {_count(nodes)} there none is labelled {labels}"
    many = f"of {_count(labelled)} there with such labels none"
    if demand.gpus:
        return f"{who} {many} has a GPU; nodes of one's own that render on CPUs say gpu: cpu"
    return f"{who} {many} has CPUs for it ({demand.cpus})"


def _count(nodes: Sequence[object]) -> str:
    return "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"


def _bears(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether a node has these labels, by Ray's rule: `!x` is met by another value and by none."""
    return all(
        labels.get(name) != value[1:] if value.startswith("!") else labels.get(name) == value
        for name, value in wanted.items()
    )
