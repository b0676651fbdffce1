"""What the store costs stands on lines of its own: requests, what lies there, what leaves it."""

from decimal import Decimal

from pipeline.pricing.storage_cost import (
    CountedCalls,
    StorageCost,
    StorageRates,
    StoreCalls,
    calls_of,
    facts_of,
    storage_cost,
    storage_from_values,
)

RATES = StorageRates(
    usd_per_1000_puts=Decimal("0.005"),
    usd_per_1000_gets=Decimal("0.0004"),
    usd_per_1000_lists=Decimal("0.005"),
    usd_per_gib_month=Decimal("0.023"),
    usd_per_gib_egress=Decimal("0.09"),
    source="a table",
    as_of="2026-11",
)


def test_lines_are_counts_times_rates() -> None:
    """Hand-computed: 3,000 puts, 10,000 gets and 1,000 lists; 10 GiB."""
    cost = storage_cost(StoreCalls(puts=3000, gets=10_000, lists=1000), 10 << 30, RATES)
    assert (cost.requests_usd, cost.usd_per_month, cost.egress_usd) == (
        Decimal("0.024"),
        Decimal("0.23"),
        Decimal("0.9"),
    )
    assert cost.source == "a table, 2026-11"


def test_free_store_has_counts_and_no_dollars() -> None:
    """As a folder, or a service of one's own."""
    cost = storage_cost(StoreCalls(puts=3), 5, None)
    assert cost == StorageCost(puts=3, bytes_stored=5)


def test_workers_tell_totals_and_each_counts_once() -> None:
    """However often a worker tells its total; what it tells wrongly changes nothing."""
    counted = CountedCalls(before=StoreCalls(puts=100))
    for puts in (1, 5, 7):
        counted.told("a", facts_of(StoreCalls(puts=puts, gets=2)))
    counted.told("b", facts_of(StoreCalls(puts=3)))
    counted.told("b", {"store_puts": "many"})
    assert counted.total == StoreCalls(puts=110, gets=2)


def test_store_that_does_not_count_says_nothing() -> None:
    """Its heartbeats carry no totals."""
    assert facts_of(calls_of(object())) == {}


def test_section_of_an_older_status_is_empty() -> None:
    """A status that was written before storage was counted stays readable."""
    assert storage_from_values({}) == StorageCost()
