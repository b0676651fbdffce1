"""Money is an exact measure over time, and splits add up."""

import itertools
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pricing.money import interval_nano_usd, nano_usd, split, usd

_PRICES = st.decimals(min_value=0, max_value=500, places=9)
_INSTANTS = st.integers(1_500_000_000_000_000_000, 2_500_000_000_000_000_000)


def cost(price: Decimal, gpus: int, gpu: int, started_ns: int, ended_ns: int) -> int:
    """Cost of one interval."""
    return interval_nano_usd(
        usd_per_hour=price, gpu_count=gpus, gpu_index=gpu, started_ns=started_ns, ended_ns=ended_ns
    )


@given(price=_PRICES, gpus=st.integers(1, 8), cuts=st.lists(_INSTANTS, min_size=2, max_size=12))
def test_intervals_that_join_up_add_up(price: Decimal, gpus: int, cuts: list[int]) -> None:
    """However a GPU's time is cut, its parts cost what the whole costs, to the nano-dollar."""
    cuts.sort()
    for gpu in range(gpus):
        parts = sum(cost(price, gpus, gpu, a, b) for a, b in itertools.pairwise(cuts))
        assert parts == cost(price, gpus, gpu, cuts[0], cuts[-1])


@given(price=_PRICES, gpus=st.integers(1, 8), started=_INSTANTS, length=st.integers(0, 10**15))
def test_gpus_of_a_node_cost_what_the_node_costs(price: Decimal, gpus: int, started: int, length: int) -> None:
    """The shares of a node's GPUs add up to the node, and none is negative."""
    shares = [cost(price, gpus, gpu, started, started + length) for gpu in range(gpus)]
    assert sum(shares) == cost(price, 1, 0, started, started + length)
    assert min(shares) >= 0


def test_an_hour_costs_the_hourly_price() -> None:
    """One hour on one GPU costs its price to within a nano-dollar, which is what rounding down may take."""
    hour = 3_600_000_000_000
    assert cost(Decimal("1.861"), 1, 0, 1_800 * hour, 1_801 * hour) == 1_861_000_000


@given(total=st.integers(0, 10**12), weights=st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_split_adds_up_and_is_fair(total: int, weights: list[int]) -> None:
    """The parts add up exactly, and each is within one of its exact share."""
    parts = split(total, weights)
    assert sum(parts) == total
    shares = weights if any(weights) else [1] * len(weights)
    for part, weight in zip(parts, shares, strict=True):
        assert abs(part * sum(shares) - total * weight) < sum(shares)


@given(st.integers(-(10**17), 10**17))
def test_nano_dollars_survive_the_way_to_decimal_and_back(nano: int) -> None:
    """Nothing is rounded between whole nano-dollars and the ledger's decimals."""
    assert nano_usd(usd(nano)) == nano
