"""A quote is arithmetic: rendering, starting, reclaims and the tail, in whole nodes; intervals hold the middle."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.estimates.interruptions import NEVER, ReclaimRate
from pipeline.estimates.quote import Load, Nodes, quote, startup_seconds, startup_spread
from pipeline.estimates.throughput import Throughput


def rate(images_per_second: float, *, spread: float = 1.0, origin: str = "measured") -> Throughput:
    """A throughput with an interval of this factor."""
    return Throughput(
        images_per_second=images_per_second,
        low=images_per_second / spread,
        high=images_per_second * spread,
        origin=origin,
        basis="a test",
    )


def reclaimed(per_hour: float, *, spread: float = 1.0) -> ReclaimRate:
    """A rate of reclaims with an interval of this factor."""
    return ReclaimRate(per_hour=per_hour, low=per_hour / spread, high=per_hour * spread, origin="measured")


def test_on_demand_quote_by_hand() -> None:
    """7,200 images at one a second on two nodes of one GPU: an hour, a start of 90 s, half a batch of 8 at the end."""
    found = quote(
        [Load(images=7200, throughput=rate(1.0), batch=8)],
        Nodes(count=2, gpus=1, usd_per_hour=Decimal(1), startup_seconds=90.0, reclaims=NEVER),
    )
    assert found.images_per_hour.middle == pytest.approx(7200)
    assert found.hours.middle == pytest.approx((3600 + 90 + 4) / 3600)
    assert found.usd.middle == Decimal("2.052222222")
    assert found.usd_per_image.middle == Decimal("0.000285031")
    assert found.startup_usd == Decimal("0.05")
    assert found.idle_usd == Decimal("0.002222222")
    assert (found.reclaims, found.lost_usd) == (0.0, Decimal(0))


def test_reclaims_cost_a_start_and_half_a_batch_each() -> None:
    """A node that lives an hour on average pays for about one more start and half a batch for each hour of work."""
    calm, stormy = (
        quote(
            [Load(images=36_000, throughput=rate(1.0), batch=60)],
            Nodes(count=1, gpus=1, usd_per_hour=Decimal(1), startup_seconds=60.0, reclaims=reclaimed(rate_per_hour)),
        )
        for rate_per_hour in (0.0, 1.0)
    )
    assert stormy.reclaims == pytest.approx(stormy.hours.middle)
    more = stormy.hours.middle - calm.hours.middle
    assert more * 3600 == pytest.approx(stormy.reclaims * (60 + 30))
    assert stormy.usd.middle > calm.usd.middle
    assert stormy.lost_usd == pytest.approx(Decimal(stormy.reclaims) * 30 / 3600, abs=Decimal("1e-6"))


def test_origin_is_that_of_the_least_trusted_part() -> None:
    """A job of two shapes, one of them only estimated, is an estimate."""
    parts = [
        Load(images=10, throughput=rate(1.0), batch=1),
        Load(images=10, throughput=rate(1.0, origin="published"), batch=1),
    ]
    nodes = Nodes(count=1, gpus=1, usd_per_hour=Decimal(1), startup_seconds=0.0, reclaims=NEVER)
    assert quote(parts, nodes).origin == "published"


def test_interval_holds_what_may_happen_to_reclaims_too() -> None:
    """Of two types that render alike, the one of which nobody tells how often it goes has the wider interval."""
    load = Load(images=36_000, throughput=rate(1.0), batch=60)
    sure, unsure = (
        quote([load], Nodes(count=1, gpus=1, usd_per_hour=Decimal(1), startup_seconds=60.0, reclaims=one))
        for one in (reclaimed(0.1), reclaimed(0.1, spread=10))
    )
    assert unsure.usd.middle == sure.usd.middle
    assert unsure.usd.low < sure.usd.low < sure.usd.middle < sure.usd.high < unsure.usd.high


def test_interval_holds_slow_starts_and_a_long_wait_at_the_end() -> None:
    """Nothing is uncertain but that: an on-demand node whose start is known to a factor of 2, at one image a second."""
    load = Load(images=120, throughput=rate(1.0), batch=60)
    node = Nodes(count=1, gpus=1, usd_per_hour=Decimal(1), startup_seconds=60.0, reclaims=NEVER)
    known, unknown = quote([load], node), quote([load], replace(node, startup_spread=2.0))
    assert known.hours.middle * 3600 == pytest.approx(60 + 120 + 30)
    assert (known.hours.low * 3600, known.hours.high * 3600) == pytest.approx((180, 240))
    assert unknown.hours.middle == known.hours.middle
    assert 240 < unknown.hours.high * 3600 < 300
    assert 150 < unknown.hours.low * 3600 < 180


@pytest.mark.parametrize(("seen", "nodes", "least", "most"), [(1, 1, 2.2, 2.8), (1, 50, 1.8, 2.5), (50, 50, 1.1, 1.2)])
def test_starts_are_known_better_the_more_were_seen(seen: int, nodes: int, least: float, most: float) -> None:
    """Of many nodes the mean varies less than one start does."""
    assert least < startup_spread(100.0, 30.0, seen=seen, nodes=nodes) < most


def test_start_is_the_boot_and_the_weights() -> None:
    """4 GB at 400 MB/s are ten seconds."""
    assert startup_seconds(4e9, boot_seconds=100) == pytest.approx(110)


@given(
    images=st.integers(1, 10**6),
    speed=st.floats(0.01, 50),
    spread=st.floats(1, 3),
    count=st.integers(1, 50),
    gpus=st.sampled_from([1, 4, 8]),
    batch=st.integers(1, 64),
    startup=st.floats(0, 900),
    reclaims=st.floats(0, 3),
    reclaim_spread=st.floats(1, 10),
)
def test_intervals_hold_the_middle_and_dollars_are_time_by_price(
    images: int,
    speed: float,
    spread: float,
    count: int,
    gpus: int,
    batch: int,
    startup: float,
    reclaims: float,
    reclaim_spread: float,
) -> None:
    """Whatever the job: low <= middle <= high, and the money is that of the nodes' hours."""
    nodes = Nodes(
        count=count,
        gpus=gpus,
        usd_per_hour=Decimal("2.5"),
        startup_seconds=startup,
        reclaims=reclaimed(reclaims, spread=reclaim_spread),
    )
    found = quote([Load(images=images, throughput=rate(speed, spread=spread), batch=batch)], nodes)
    for figure in (found.images_per_hour, found.hours, found.usd, found.usd_per_image):
        assert figure.low <= figure.middle <= figure.high
    assert float(found.usd.middle) == pytest.approx(found.hours.middle * count * 2.5, rel=1e-6, abs=1e-8)
    parts = found.startup_usd + found.lost_usd + found.idle_usd
    assert parts <= found.usd.middle + Decimal("1e-6")
    assert 0 <= found.fixed_usd <= found.usd.middle
