"""The table of providers; a new one is one file and one line here, imported on use."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Final, Protocol, cast

from infra.providers.reports import Identity
from pipeline.errors import JobFileError
from pipeline.job import NodeOffer
from pipeline.record import Node

PROVIDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aws": "infra.providers.aws:AwsProvider",
        "azure": "infra.providers.azure:AzureProvider",
        "gcp": "infra.providers.gcp:GcpProvider",
        "kubernetes": "infra.providers.kubernetes:KubernetesProvider",
        "local": "infra.providers.static:LocalProvider",
        "static": "infra.providers.static:StaticProvider",
    }
)
"""Name -> `module:Class`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a worker saw of the node that it stands on."""

    job: str
    """Job id: a session is the node's life inside one job."""
    node_id: str
    """Ray's id of the node, or another name that lasts as long as the node."""
    labels: Mapping[str, str]
    """The node's Ray labels."""
    gpu: str
    """Name of the worker's GPU; `cpu` where it uses none; empty when its driver did not tell."""
    gpu_count: int
    """Workers that this node can hold for the job."""
    node_gpus: int = 0
    """GPUs of the whole node, which this job may have to share; 0 where it uses none."""
    identity: Identity | None = None
    """What the node says of itself; its type may be another one than was offered, and then its price is not known."""


class Provider(Protocol):
    """Tells what a node is."""

    def identify(self, offer: NodeOffer, sighting: Sighting) -> Node:
        """The node, as records and the ledger name it; the same for every worker on it and under every driver."""


def identify(offer: NodeOffer, sighting: Sighting) -> Node:
    """The node, by the provider that speaks for it, else by the one that the offer names.

    Raises:
        JobFileError: the offer names none that there is.
    """
    named = "static" if offer.provider in {"", "auto"} else offer.provider
    return provider(sighting.identity.provider if sighting.identity else named).identify(offer, sighting)


def provider(name: str) -> Provider:
    """The provider of this name.

    Raises:
        JobFileError: there is none.
    """
    place = PROVIDERS.get(name)
    if place is None:
        raise JobFileError(f"there is no provider {name!r} (there are {', '.join(sorted(PROVIDERS))})")
    module, _, class_name = place.partition(":")
    return cast("Provider", getattr(import_module(module), class_name)())
