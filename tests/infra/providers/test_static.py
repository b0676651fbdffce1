"""Nodes of this machine and of clusters without a cloud's own knowledge."""

from dataclasses import replace
from decimal import Decimal

import pytest

from infra.providers.reports import Identity
from infra.providers.table import PROVIDERS, Sighting, identify, provider
from pipeline.errors import JobFileError
from pipeline.job import NodeOffer

OFFER = NodeOffer(type="g6.xlarge", market="spot", max=2, usd_per_hour=Decimal("0.31"), gpus=1)


def sighting(node_id: str = "a" * 56, **changes: object) -> Sighting:
    """What a worker saw."""
    values: dict[str, object] = {
        "job": "small-0123456789abcdef",
        "node_id": node_id,
        "labels": {},
        "gpu": "NVIDIA L4",
        "gpu_count": 1,
    }
    return Sighting(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_gives_one_session_to_all_workers_of_a_node(name: str) -> None:
    """Session names follow from the node and the job alone, so the next driver goes on with the same session."""
    first = provider(name).identify(OFFER, sighting())
    again = provider(name).identify(OFFER, sighting())
    other = provider(name).identify(OFFER, sighting("b" * 56))
    elsewhere = provider(name).identify(OFFER, sighting(job="small-fedcba9876543210"))
    assert first == again
    assert len({first.node_session, other.node_session, elsewhere.node_session}) == 3
    assert first.provider == name


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_provider_keeps_the_price_of_the_offer(name: str) -> None:
    """What a node costs stands in the configuration until a provider knows better."""
    node = provider(name).identify(OFFER, sighting())
    assert (node.usd_per_hour, node.price_source) == (Decimal("0.31"), "configuration")
    assert (node.node_type, node.market, node.gpu) == ("g6.xlarge", "spot", "NVIDIA L4")


def test_labels_say_where_a_static_node_is() -> None:
    """Ray's own labels fill in region, zone and GPU where offer and driver are silent."""
    labels = {
        "ray.io/availability-region": "us-east-1",
        "ray.io/availability-zone": "us-east-1b",
        "ray.io/accelerator-type": "L4",
    }
    node = provider("static").identify(OFFER, sighting(labels=labels, gpu=""))
    assert (node.region, node.zone, node.gpu) == ("us-east-1", "us-east-1b", "L4")


def test_node_is_what_it_says_and_its_price_is_marked_as_that_of_the_offer() -> None:
    """A cloud that gave another type or market than was offered is believed; what that costs the offer cannot know."""
    told = Identity(provider="aws", node_id="i-1", node_type="g5.xlarge", market="spot", zone="us-east-1c")
    node = identify(replace(OFFER, provider="auto"), sighting(identity=told))
    assert (node.provider, node.node_id, node.node_type, node.zone) == ("aws", "i-1", "g5.xlarge", "us-east-1c")
    assert node.price_source == "configuration, for g6.xlarge spot"
    same = identify(OFFER, sighting(identity=replace(told, node_type="g6.xlarge")))
    assert same.price_source == "configuration"
    assert identify(replace(OFFER, provider="auto"), sighting()).provider == "static"


def test_unknown_provider_is_refused_by_name() -> None:
    """The message names what there is."""
    with pytest.raises(
        JobFileError, match=r"no provider 'clouds' \(there are aws, azure, gcp, kubernetes, local, static\)"
    ):
        provider("clouds")


def test_node_knows_how_many_gpus_it_has_in_all() -> None:
    """A job that uses two GPUs of a node of eight pays a quarter of its price."""
    node = provider("static").identify(OFFER, sighting(gpu_count=2, node_gpus=8))
    assert (node.gpu_count, node.shares) == (2, 8)
