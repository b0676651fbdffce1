"""Prices come from EC2 over a socket, are remembered in the store, and from the table where EC2 does not tell."""

import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest

from infra.providers.ec2_answers import AwsClients
from infra.providers.price_table import PriceTable, TableRow
from infra.providers.prices import ProviderPrices
from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.errors import PriceUnknownError, StoreUnavailableError
from pipeline.pricing.prices import Priced
from tests.infra.providers.price_server import PriceServer, instant_ns, price_server, product

NOW = "2026-11-21T12:00:00"
_HOUR = 3_600_000_000_000
SPOT = Priced(provider="aws", node_type="g5.xlarge", market="spot", region="eu-west-1", zone="eu-west-1a")
ON_DEMAND = Priced(provider="aws", node_type="g5.xlarge", market="on_demand", region="eu-west-1", zone="eu-west-1a")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[tuple[PriceServer, AwsClients]]:
    """EC2 and the Price List, reached by the standard variables alone."""
    with price_server() as (state, address), pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_EC2", address)
        patch.setenv("AWS_ENDPOINT_URL_PRICING", address)
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        yield state, AwsClients()


@pytest.fixture
def server(endpoint: tuple[PriceServer, AwsClients]) -> PriceServer:
    """What it knows at the beginning of a test."""
    state, _ = endpoint
    vars(state).update(vars(PriceServer()))
    state.spot = [
        ("eu-west-1a", "2026-11-21T09:30:00Z", "0.400000"),
        ("eu-west-1a", "2026-11-21T11:15:00Z", "0.500000"),
        ("eu-west-1b", "2026-11-21T09:00:00Z", "0.450000"),
        ("eu-west-1b", "2026-11-21T11:45:00Z", "0.300000"),
    ]
    state.products = [product("1.1230000000")]
    return state


Known = Callable[..., ProviderPrices]


@pytest.fixture
def prices(endpoint: tuple[PriceServer, AwsClients]) -> Known:
    """Prices with a table of one row."""

    def known(store: MemoryStore, *, clock: ManualClock | None = None) -> ProviderPrices:
        usd = Decimal("1.006")
        row = TableRow(node_type="g5.xlarge", market="on_demand", usd_per_hour=usd, source="table", region="us-east-1")
        clock = clock or ManualClock(instant_ns(NOW))
        return ProviderPrices(table=PriceTable([row]), store=store, clock=clock, clients=endpoint[1])

    return known


@pytest.fixture
def store() -> MemoryStore:
    """Where answers are remembered."""
    return MemoryStore()


class _SilentStore(MemoryStore):
    """One that does not answer."""

    def get(self, key: str) -> bytes:
        """It does not."""
        raise StoreUnavailableError("silent")

    def put(self, *_: object, **__: object) -> str:
        """It does not."""
        raise StoreUnavailableError("silent")


def told(prices: ProviderPrices, wanted: Priced, *, hours: int = 1) -> list[tuple[int, str]]:
    """Hours before now, and the price from then on."""
    now_ns = instant_ns(NOW)
    quote = prices.quote(wanted, from_ns=now_ns - hours * _HOUR, until_ns=now_ns)
    assert not quote.stand_in, quote.stand_in
    return [((now_ns - step.at_ns) * 100 // _HOUR, str(step.usd_per_hour.normalize())) for step in quote.steps]


def stand_in(prices: ProviderPrices, wanted: Priced = SPOT) -> str:
    """Why the table's price was told."""
    quote = prices.quote(wanted, from_ns=instant_ns(NOW) - _HOUR, until_ns=instant_ns(NOW))
    assert [step.usd_per_hour for step in quote.steps] == [Decimal("1.006")]
    return quote.stand_in


def test_spot_prices_of_a_zone_are_steps(prices: Known, server: PriceServer, store: MemoryStore) -> None:
    """The one that holds at the beginning, and each change since, over several pages of the answer."""
    server.page = 1
    assert told(prices(store), SPOT) == [(250, "0.4"), (75, "0.5")]
    assert len(server.asked) == 2
    assert server.asked[0]["ProductDescription.1"] == "Linux/UNIX"
    assert server.asked[0]["AvailabilityZone"] == "eu-west-1a"


def test_dearest_zone_counts_where_the_zone_is_not_known(
    prices: Known, server: PriceServer, store: MemoryStore
) -> None:
    """As an upper bound, at each instant."""
    somewhere = Priced(provider="aws", node_type="g5.xlarge", market="spot", region="eu-west-1")
    assert told(prices(store), somewhere) == [(300, "0.45"), (75, "0.5")]


def test_on_demand_price_is_that_of_the_price_list(prices: Known, server: PriceServer, store: MemoryStore) -> None:
    """With the filters that leave one product; terms of later, and those that are no hours, do not count."""
    server.products += [product("9", since="2027-01-01T00:00:00Z"), product("8", unit="Quantity")]
    quote = prices(store).quote(ON_DEMAND, from_ns=0, until_ns=1)
    assert [(step.usd_per_hour, step.source) for step in quote.steps] == [
        (Decimal("1.1230000000"), "AWS Price List, eu-west-1")
    ]
    filters = {one["Field"]: one["Value"] for one in server.asked[0]["Filters"]}
    assert filters == {
        "instanceType": "g5.xlarge",
        "regionCode": "eu-west-1",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }


def test_answer_is_remembered_in_the_store_until_it_is_stale(
    prices: Known, server: PriceServer, store: MemoryStore
) -> None:
    """The next job asks nobody for five minutes; then EC2 is asked again."""
    clock = ManualClock(instant_ns(NOW))
    for _ in range(2):
        told(prices(store, clock=clock), SPOT)
        clock.advance(150)
    assert len(server.asked) == 1
    (info,) = store.list("prices/")
    assert info.key == "prices/ec2-spot/eu-west-1/g5.xlarge-eu-west-1a.json"
    clock.advance(1)
    told(prices(store, clock=clock), SPOT)
    assert len(server.asked) == 2


@pytest.mark.parametrize("rubbish", [b"", b"[]", b'{"schema": 1}', b'{"schema": 9}', b"\xff"])
def test_damaged_memory_is_not_used(prices: Known, server: PriceServer, store: MemoryStore, rubbish: bytes) -> None:
    """What lies in the store is checked like any other answer."""
    store.put("prices/ec2-spot/eu-west-1/g5.xlarge-eu-west-1a.json", rubbish)
    assert told(prices(store), SPOT) == [(250, "0.4"), (75, "0.5")]


@pytest.mark.parametrize("price", ["0", "-0.4", "NaN", "cheap", "", "1e9"])
def test_remembered_price_that_is_none_is_not_used(
    prices: Known, server: PriceServer, store: MemoryStore, price: str
) -> None:
    """A zero in the store is as little believed as one of EC2's."""
    values = {"schema": 1, "asked_ns": instant_ns(NOW), "from_ns": 0, "until_ns": 1, "steps": [[0, price, "s"]]}
    store.put("prices/ec2-spot/eu-west-1/g5.xlarge-eu-west-1a.json", json.dumps(values).encode())
    assert told(prices(store), SPOT) == [(250, "0.4"), (75, "0.5")]


def test_silent_store_costs_a_call_and_no_more(prices: Known, server: PriceServer) -> None:
    """Prices are told although nothing can be remembered."""
    assert told(prices(_SilentStore()), SPOT) == [(250, "0.4"), (75, "0.5")]


def test_throttled_call_is_tried_again(prices: Known, server: PriceServer, store: MemoryStore) -> None:
    """Once by itself; when it goes on, the table stands in and says so."""
    server.errors = [(503, "RequestLimitExceeded")]
    assert told(prices(store), SPOT) == [(250, "0.4"), (75, "0.5")]
    server.errors = [(503, "RequestLimitExceeded")] * 2
    why = stand_in(prices(MemoryStore()))
    assert why == "EC2 spot price history: RequestLimitExceeded: too many calls"


def test_missing_permission_is_named(prices: Known, server: PriceServer, store: MemoryStore) -> None:
    """With what the credentials lack, and without the credentials."""
    server.errors = [(403, "UnauthorizedOperation")]
    why = stand_in(prices(store))
    assert why.endswith("UnauthorizedOperation: these credentials may not ec2:DescribeSpotPriceHistory")
    server.errors = [(400, "AccessDeniedException")]
    why = stand_in(prices(store), ON_DEMAND)
    assert why.endswith("AccessDeniedException: these credentials may not pricing:GetProducts")
    assert "secret" not in why


@pytest.mark.parametrize(
    "body", [b"", b"<html>captive portal</html>", b"\x00\xff", b"{}", b"<a>", b'{"PriceList": ["no json"]}', b"[[[["]
)
@pytest.mark.parametrize("wanted", [SPOT, ON_DEMAND])
def test_rubbish_is_not_believed(
    prices: Known, server: PriceServer, store: MemoryStore, body: bytes, wanted: Priced
) -> None:
    """Whatever answers, the table stands in, and nothing is remembered."""
    server.raw = body
    assert stand_in(prices(store), wanted)
    assert list(store.list("prices/")) == []


@pytest.mark.parametrize("price", ["0", "0.000000", "-1", "NaN", "Infinity", "cheap", "999999999"])
def test_price_that_is_none_is_refused(prices: Known, server: PriceServer, store: MemoryStore, price: str) -> None:
    """Zero, negative, not a number, absurd: such an answer is no answer."""
    server.spot = [("eu-west-1a", "2026-11-21T09:30:00Z", price)]
    server.products = [product(price)]
    assert "makes no sense" in stand_in(prices(store))
    assert "makes no sense" in stand_in(prices(store), ON_DEMAND)


def test_prices_of_the_past_and_of_the_future_are_not_believed(
    prices: Known, server: PriceServer, store: MemoryStore
) -> None:
    """EC2 knows 90 days and no tomorrow."""
    server.spot = [("eu-west-1a", "2006-01-01T00:00:00Z", "0.00001")]
    assert "knows no more than 90 days" in stand_in(prices(store))
    server.spot = [("eu-west-1a", "2026-11-22T00:00:00Z", "0.4")]
    assert "knows no price of g5.xlarge spot in eu-west-1a" in stand_in(prices(store))


def test_several_prices_of_one_type_are_no_price(prices: Known, server: PriceServer, store: MemoryStore) -> None:
    """Which one would be billed nobody can tell."""
    server.products = [product("1"), product("2"), product("3")]
    assert "it knows 3 prices" in stand_in(prices(store), ON_DEMAND)


def test_type_that_nobody_knows_is_an_error_and_not_a_zero(
    prices: Known, server: PriceServer, store: MemoryStore
) -> None:
    """Neither EC2 nor the table."""
    server.spot = []
    unknown = Priced(provider="aws", node_type="z9.huge", market="spot", region="eu-west-1", zone="eu-west-1a")
    with pytest.raises(PriceUnknownError, match=r"the price table does not know z9\.huge"):
        prices(store).quote(unknown, from_ns=0, until_ns=1)


def test_node_that_lies_about_its_type_reaches_no_other_key(
    prices: Known, server: PriceServer, store: MemoryStore
) -> None:
    """Names come from metadata services, and become part of a key."""
    hostile = Priced(provider="aws", node_type="../../jobs/x", market="spot", region="eu-west-1")
    with pytest.raises(PriceUnknownError, match="is no name of a node type"):
        prices(store).quote(hostile, from_ns=0, until_ns=1)
    assert list(store.list("")) == []


def test_table_prefers_the_zone_then_the_region() -> None:
    """And says where a price is another region's, or the on-demand one."""

    def row(usd: str, market: str, **place: str) -> TableRow:
        return TableRow(node_type="t", market=market, usd_per_hour=Decimal(usd), source="s", **place)

    rows = [row("4", "on_demand"), row("3", "spot", region="r"), row("2", "spot", region="r", zone="ra")]
    table = PriceTable(rows)

    def price(market: str, region: str = "", zone: str = "") -> tuple[str, str]:
        wanted = Priced(provider="p", node_type="t", market=market, region=region, zone=zone)
        quote = table.quote(wanted)
        assert quote is not None
        return str(quote.steps[0].usd_per_hour), quote.steps[0].source

    assert price("spot", "r", "ra") == ("2", "s")
    assert price("spot", "r", "rb") == ("3", "s")
    assert price("spot", "q") == ("3", "s; price of r, none of q known")
    assert price("on_demand", "r") == ("4", "s")
    assert PriceTable(rows[:1]).quote(Priced(provider="p", node_type="t", market="spot")) is not None
    assert PriceTable(rows[:1]).quote(Priced(provider="p", node_type="u", market="spot")) is None
