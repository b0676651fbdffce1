"""What to ask Ray for: each worker of each offer as resources and labels, which is also what its autoscaler reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.job import NodeOffer

NODE_TYPE_LABEL = "spotrender.io/node-type"
"""Node label that tells the types of a job's offers apart."""

MARKET_LABEL = "ray.io/market-type"
"""Ray's own: `spot` or `on-demand`."""

_MARKETS = {"spot": "spot", "on_demand": "on-demand"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """One kind of worker."""

    offer: NodeOffer
    cpus: int
    """CPUs of each; 0 for GPU workers, which should fit onto any GPU that is free."""
    gpus: int
    """1, or 0 for CPU workers."""
    labels: Mapping[str, str]
    """Ray label selector."""

    @property
    def kind(self) -> tuple[str, str, str, str, str, str]:
        """What tells these nodes from other ones, whatever their price and number."""
        offer = self.offer
        return offer.provider, offer.type, offer.market, self.device, offer.region, offer.zone

    @property
    def device(self) -> str:
        """What the renderer is loaded on."""
        return "cuda" if self.gpus else "cpu"

    @property
    def workers(self) -> int:
        """How many at most."""
        return self.offer.max * self.offer.gpus

    def options(self) -> dict[str, Any]:
        """Options for Ray's actor."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "label_selector": dict(self.labels)}

    def node_workers(self, resources: Mapping[str, float]) -> int:
        """How many of these workers a node of these resources can hold; at least 1."""
        free = resources.get("GPU", 0.0) / self.gpus if self.gpus else resources.get("CPU", 0.0) / self.cpus
        return max(1, min(int(free), self.workers))


def node_labels(node_type: str, market: str) -> dict[str, str]:
    """Labels of a node of this type and market, with which every demand for it is met."""
    labels = {NODE_TYPE_LABEL: node_type}
    return labels | ({MARKET_LABEL: _MARKETS[market]} if market in _MARKETS else {})


def demands(offers: tuple[NodeOffer, ...], *, cpus_per_worker: int, machine_has_gpu: bool) -> tuple[Demand, ...]:
    """One demand per offer.

    A node without a market label is taken for any market, as nothing sets it by itself. Node types must be labelled
    only where a job names several, and then a node without the label is not used.

    Args:
        offers: of the job.
        cpus_per_worker: for CPU workers.
        machine_has_gpu: for offers of this machine that leave the GPU open.
    """
    several = len({offer.type for offer in offers}) > 1
    markets: dict[str, set[str]] = {}
    for offer in offers:
        markets.setdefault(offer.type, set()).add(offer.market)
    found = []
    for offer in offers:
        labels = {NODE_TYPE_LABEL: offer.type} if several else {}
        market = _MARKETS.get(offer.market)
        if market and len(markets[offer.type]) > 1:
            labels[MARKET_LABEL] = market
        elif market:
            labels[MARKET_LABEL] = "!on-demand" if market == "spot" else "!spot"
        on_cpu = offer.gpu == "cpu" or (offer.type == "local" and not offer.gpu and not machine_has_gpu)
        found.append(Demand(offer=offer, cpus=cpus_per_worker if on_cpu else 0, gpus=0 if on_cpu else 1, labels=labels))
    return tuple(found)
