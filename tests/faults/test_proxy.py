"""The proxy does to real clients of a real server what it is told, and nothing else."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ResponseStreamingError,
)
from hypothesis import given
from hypothesis import strategies as st

from infra.stores.retry import RetryPolicy
from infra.stores.s3_client import s3_client
from tests.faults.faults import (
    FAULTS,
    Asked,
    CutBody,
    Fault,
    LoseAnswer,
    Refuse,
    Reset,
    ResetInRequest,
    Stall,
    checked_rates,
    drawn,
)
from tests.faults.process import fault_process
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.weather import Signed, Weather
from tests.infra.servers import S3Server, moto_server, rclone_server

BODY = bytes(range(256)) * 64


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    """One server for all tests here."""
    with moto_server() as server:
        yield server


@pytest.fixture
def proxy(moto: S3Server) -> Iterator[FaultProxy]:
    """A proxy without any orders."""
    with fault_proxy(moto, stall_seconds=0.05) as proxy:
        yield proxy


def _put(proxy: FaultProxy, key: str, **conditions: str) -> None:
    """One put by boto3 itself, tried once."""
    client = s3_client(proxy.server.access, connections=1)
    try:
        client.put_object(Bucket=proxy.server.bucket, Key=key, Body=BODY, **conditions)  # type: ignore[arg-type]
    finally:
        client.close()


def _end_outage_once_met(proxy: FaultProxy) -> None:
    """Wait until somebody has met the outage."""
    while "outage" not in proxy.weather.counts:
        time.sleep(0.01)
    proxy.weather.outage(0.0)


def _held(server: S3Server, key: str) -> bool:
    """Whether the server itself holds this key."""
    return server.store().head(key) is not None


@pytest.mark.parametrize(
    "fault", [Reset(), ResetInRequest(), Stall(), Refuse(status=500, code="InternalError")], ids=str
)
def test_a_request_that_is_struck_before_never_reaches_the_server(
    moto: S3Server, proxy: FaultProxy, fault: Fault
) -> None:
    """The client sees an error, the server nothing."""
    proxy.weather.order(fault)
    with pytest.raises((HTTPClientError, ClientError)):
        _put(proxy, f"before-{type(fault).__name__}")
    assert not _held(moto, f"before-{type(fault).__name__}")
    assert [(one.fault, one.status) for one in proxy.weather.exchanges] == [("ordered", 0)]


@pytest.mark.parametrize("fault", [LoseAnswer(), Stall(asked=True)], ids=str)
def test_a_lost_answer_hides_a_success(moto: S3Server, proxy: FaultProxy, fault: Fault) -> None:
    """The client sees an error, and the server has done what it was asked."""
    proxy.weather.order(fault)
    with pytest.raises(ConnectionClosedError):
        _put(proxy, f"lost-{type(fault).__name__}")
    assert _held(moto, f"lost-{type(fault).__name__}")
    assert [one.status for one in proxy.weather.exchanges] == [200]


def test_a_cut_body_ends_in_the_middle(proxy: FaultProxy) -> None:
    """The client gets the headers and half of what they promise."""
    _put(proxy, "whole")
    proxy.weather.order(CutBody())
    client = s3_client(proxy.server.access, connections=1)
    body = client.get_object(Bucket=proxy.server.bucket, Key="whole")["Body"]
    with pytest.raises((ResponseStreamingError, HTTPClientError)):
        body.read()
    client.close()


def test_conflicts_strike_conditional_puts_alone(proxy: FaultProxy) -> None:
    """As with S3, nobody else is ever told of a conflict."""
    proxy.weather.set_rates({"conflict": 1.0})
    _put(proxy, "free")
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        _put(proxy, "create", IfNoneMatch="*")
    assert proxy.weather.counts == {"requests": 2, "passed": 1, "conflict": 1}


def test_signatures_hold_through_the_proxy(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that checks signatures takes what was signed for the proxy's address."""
    with rclone_server(tmp_path_factory.mktemp("served") / "served") as rclone, fault_proxy(rclone) as proxy:
        store = proxy.server.store("signed")
        store.put("k", BODY)
        assert store.get("k") == BODY
        assert [found.key for found in store.list("")] == ["k"]


def test_an_outage_begins_and_ends_by_itself() -> None:
    """From its begin to its end nobody gets through, whatever the kind; after it everybody."""
    now = [0.0]
    weather = Weather(now=lambda: now[0])
    weather.outage(20.0, after=5.0)
    asked = Asked(method="GET", path="/")
    struck = []
    for now[0] in (0.0, 4.9, 5.0, 24.9, 25.0):
        struck.append(weather.strike(asked, Signed()) is not None)
    assert struck == [False, False, True, True, False]


@pytest.mark.parametrize("kind", ["reset", "hang", "unavailable"])
def test_outages_reach_the_client(proxy: FaultProxy, kind: str) -> None:
    """A reset, a silence, or 503, on connections old and new."""
    _put(proxy, "before")
    proxy.weather.outage(600.0, kind=kind)  # type: ignore[arg-type]
    ender = threading.Thread(target=_end_outage_once_met, args=(proxy,))
    ender.start()
    with pytest.raises((HTTPClientError, ClientError)):
        _put(proxy, "during")
    ender.join()
    _put(proxy, "after")
    assert proxy.weather.counts["outage"] == 1


def test_expired_keys_are_told_so_until_they_are_others(proxy: FaultProxy) -> None:
    """By the access key of the signature."""
    proxy.weather.expire(["testing"])
    with pytest.raises(ClientError, match="ExpiredToken"):
        _put(proxy, "k")
    _put(replace(proxy, server=replace(proxy.server, access_key="renewed")), "k")


@pytest.mark.parametrize("seconds", [-1000.0, 1000.0])
def test_a_clock_that_is_off_is_refused(proxy: FaultProxy, seconds: float) -> None:
    """By the time of the signature, in both directions; S3 allows a quarter of an hour."""
    proxy.weather.set_clock_ahead(seconds / 2)
    _put(proxy, "k")
    proxy.weather.set_clock_ahead(seconds)
    with pytest.raises(ClientError, match="RequestTimeTooSkewed"):
        _put(proxy, "k")


def test_the_same_seed_strikes_the_same_requests_in_any_order() -> None:
    """Racing threads change nothing about who is struck."""
    asked = [Asked(method="PUT", path=f"/b/{n}") for n in range(400)]
    rates = {"slow_down": 0.1, "lost_answer": 0.1}
    struck = {one: drawn(rates, 7, one, 0) for one in asked}
    assert {one: drawn(rates, 7, one, 0) for one in reversed(asked)} == struck
    assert {one: drawn(rates, 8, one, 0) for one in asked} != struck
    assert 20 < sum(name == "slow_down" for name in struck.values()) < 60


@given(st.dictionaries(st.sampled_from(sorted(FAULTS)), st.floats(0, 0.1)), st.integers(), st.integers(0, 9))
def test_what_strikes_was_asked_for(rates: dict[str, float], seed: int, times: int) -> None:
    """A fault without a rate never strikes, and a put is never cut."""
    name = drawn(checked_rates(rates), seed, Asked(method="PUT", path="/b/k"), times)
    assert name is None or (rates[name] > 0 and name not in {"cut_body", "spoil_body", "conflict"})


@pytest.mark.parametrize("rates", [{"earthquake": 0.1}, {"reset": 1.1}, {"reset": -0.1}, {"reset": 0.6, "stall": 0.6}])
def test_rates_that_are_none_are_refused(rates: dict[str, float]) -> None:
    """A suite that asks for a fault by a wrong name would test nothing."""
    with pytest.raises(ValueError, match=r"fault|share|add up"):
        checked_rates(rates)


def test_a_proxy_process_takes_orders_while_it_runs(moto: S3Server) -> None:
    """Rates, outages and keys by HTTP from another process; the counts come back."""
    with fault_process(moto, rates={"slow_down": 0.2}, seed=3, stall_seconds=0.1) as running:
        store = running.server.store("process", retry=RetryPolicy(sleep=lambda _seconds: None))
        for n in range(30):
            store.put(f"k{n}", b"x")
        assert running.control.counts["slow_down"] > 0
        running.control.set_rates({}, seed=1)
        running.control.outage(600.0)
        ending = RetryPolicy(sleep=lambda _seconds: running.control.outage(0.0))
        running.server.store("process", retry=ending).put("after", b"x")
        assert running.control.counts["outage"] > 0
        with pytest.raises(OSError, match="400"):
            running.control.set_rates({"earthquake": 1.0})


def test_a_server_that_went_away_is_counted_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the proxy did not do is not among what it did."""
    with rclone_server(tmp_path_factory.mktemp("served") / "served") as rclone:
        upstream = rclone
    with fault_proxy(upstream) as proxy:
        with pytest.raises(ConnectionClosedError):
            _put(proxy, "k")
        assert proxy.weather.counts == {"requests": 1, "server_away": 1}
