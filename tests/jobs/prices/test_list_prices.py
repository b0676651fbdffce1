"""What the same hours would have cost on demand is asked of the provider where the table does not say."""

import os
from collections.abc import Iterator
from decimal import Decimal

import pytest

from infra.providers.ec2_answers import AwsClients
from infra.stores.memory import MemoryStore
from jobs.prices.list_prices import listed_on_demand
from pipeline.clock import ManualClock
from tests.infra.providers.price_server import PriceServer, instant_ns, price_server, product


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PriceServer]:
    """The Price List, reached by the standard variables."""
    with price_server() as (state, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
        yield state


def test_other_regions_are_asked_once_and_remembered_in_the_store(server: PriceServer) -> None:
    """The table holds us-east-1 alone; whoever reports next has the answer at hand."""
    server.products = [product("1.1230000000")]
    store, clock = MemoryStore(), ManualClock(instant_ns("2026-11-21T12:00:00"))
    for _ in range(2):
        price = listed_on_demand(store, clock=clock, clients=AwsClients())
        assert price("aws", "g5.xlarge", "eu-west-1") == Decimal("1.123")
        assert price("aws", "g5.xlarge", "us-east-1") == Decimal("1.006")
    assert len(server.asked) == 1


def test_provider_that_does_not_answer_is_asked_once(server: PriceServer) -> None:
    """An answer that there is no such type is no silence; neither is taken for a price."""
    price = listed_on_demand(MemoryStore(), clients=AwsClients())
    assert price("aws", "z9.huge", "eu-west-1") is None
    server.errors = [(400, "AccessDeniedException")] * 9
    assert price("aws", "g5.xlarge", "eu-west-1") is None
    assert price("aws", "g6.xlarge", "eu-west-1") is None
    assert len(server.asked) == 2


def test_nobody_is_asked_about_machines_that_no_provider_prices(server: PriceServer) -> None:
    """A type of one's own, a region that is not known, names that are none."""
    price = listed_on_demand(MemoryStore(), clients=AwsClients())
    assert price("static", "attic.small", "eu-west-1") is None
    assert price("aws", "z9.huge", "") is None
    assert price("aws", "../../jobs/x", "eu-west-1") is None
    assert server.asked == []
