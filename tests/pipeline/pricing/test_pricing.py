"""Prices that change while a job runs: known late, through deaths of drivers and workers, the books stay exact."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.clock import ManualClock
from pipeline.errors import PriceUnknownError
from pipeline.events import WorkerStarting
from pipeline.job import NodeOffer
from pipeline.ledger.accounts import Accounts
from pipeline.ledger.books import NodeSession
from pipeline.ledger.buckets import nanoseconds
from pipeline.ports import Clock
from pipeline.pricing.money import nano_usd
from pipeline.pricing.prices import Priced, Quote
from pipeline.pricing.pricing import Pricing
from pipeline.pricing.tariff import PriceStep
from pipeline.record import Node
from tests.pipeline.history import History, check_books, ledger, records_of
from tests.pipeline.rehearsal import Plot, play
from tests.pipeline.stepwise import InlineExecutor
from tests.pipeline.stormy import HAPPENINGS, Happening, Weather

_START = 1_800_000_000_000_000_000
_SECOND = 1_000_000_000
OFFER = NodeOffer(type="local", market="local", max=1, usd_per_hour=Decimal("0.7"), live=True)


@dataclass(frozen=True, kw_only=True)
class Market:
    """Tells each step only some time after it took effect; now and then it tells nothing."""

    clock: Clock
    steps: tuple[PriceStep, ...]
    delay_seconds: int
    silent_every: int = 0
    asked: Counter[str]

    def quote(self, wanted: Priced, *, from_ns: int, until_ns: int) -> Quote:
        """What is known by now."""
        self.asked["times"] += 1
        if self.silent_every and self.asked["times"] % self.silent_every == 0:
            raise PriceUnknownError("the market is silent")
        known_ns = self.clock.now_ns() - self.delay_seconds * _SECOND
        return Quote(steps=tuple(step for step in self.steps if step.at_ns <= known_ns), final_until_ns=known_ns)


def steps_of(changes: list[tuple[int, int]]) -> tuple[PriceStep, ...]:
    """Thousandths of a dollar per hour from some seconds after the start; a price of before is always known."""
    told = [PriceStep(at_ns=0, usd_per_hour=Decimal("0.9"), source="market")]
    for second, price in sorted(changes):
        at_ns = _START + second * _SECOND
        told.append(PriceStep(at_ns=at_ns, usd_per_hour=Decimal(price) / 1000, source="market"))
    return tuple(told)


def exact_cost(started_ns: int, ended_ns: int, steps: tuple[PriceStep, ...]) -> Fraction:
    """Nano-dollars of a whole node over an interval, by plain integration."""
    total = Fraction(0)
    ends = [*(step.at_ns for step in steps[1:]), ended_ns]
    for step, until_ns in zip(steps, ends, strict=True):
        length = max(0, min(until_ns, ended_ns) - max(step.at_ns, started_ns))
        total += Fraction(nano_usd(step.usd_per_hour) * length, 3600 * _SECOND)
    return total


def check_prices(history: History, steps: tuple[PriceStep, ...]) -> None:
    """Each session that all was known of costs what plain integration says, to the nano-dollar."""
    last_ns = max(nanoseconds(row["ended_at"]) for row in ledger(history, "nodes"))
    known = [step for step in steps if step.at_ns < last_ns]
    for node in ledger(history, "nodes"):
        whole = node["lifetime_gpu_nanoseconds"] == node["gpu_count"] * (
            nanoseconds(node["ended_at"]) - nanoseconds(node["started_at"])
        )
        if whole:
            cost = exact_cost(nanoseconds(node["started_at"]), nanoseconds(node["ended_at"]), tuple(known))
            assert abs(nano_usd(node["accrued_usd"]) - cost) <= 1 + node["gpu_count"]


_DEATHS = st.dictionaries(st.integers(0, 80), st.booleans(), max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(st.tuples(st.integers(0, 120), st.integers(1, 9999)), max_size=6, unique_by=lambda one: one[0]),
    delay=st.integers(0, 40),
    silent_every=st.sampled_from([0, 2, 3]),
    workers=st.integers(1, 3),
    driver_deaths=_DEATHS,
    worker_deaths=_DEATHS,
    node_outlives_driver=st.booleans(),
    between=st.dictionaries(st.integers(0, 40), st.sampled_from(HAPPENINGS), max_size=4),
    during=st.dictionaries(st.integers(0, 12), st.sampled_from(HAPPENINGS), max_size=2),
)
def test_books_are_exact_whenever_prices_become_known(
    *,
    changes: list[tuple[int, int]],
    delay: int,
    silent_every: int,
    workers: int,
    driver_deaths: dict[int, bool],
    worker_deaths: dict[int, bool],
    node_outlives_driver: bool,
    between: dict[int, Happening],
    during: dict[int, Happening],
) -> None:
    """sum(images.usd) is rendering_usd and the seven categories are accrued_usd, with nothing unattributed."""
    steps, asked = steps_of(changes), Counter[str]()

    def pricing(clock: ManualClock) -> Pricing:
        market = Market(clock=clock, steps=steps, delay_seconds=delay, silent_every=silent_every, asked=asked)
        return Pricing(prices=market, offers=lambda: (OFFER,), executor=InlineExecutor(), refresh_seconds=7)

    history = play(
        Plot(
            prompts=6,
            workers=workers,
            driver_deaths=driver_deaths,
            worker_deaths=worker_deaths,
            node_outlives_driver=node_outlives_driver,
            weather=Weather(between=between, during=during),
            pricing=pricing,
        )
    )
    check_books(history)
    if not driver_deaths and not silent_every and delay == 0:
        check_prices(history, steps)


class Late(Pricing):
    """Learns of prices only at the end of the job."""

    def refresh(self, sessions: Mapping[str, NodeSession], now_ns: int) -> set[str]:
        """Not yet."""
        return set()


def test_bucket_that_was_sealed_before_a_step_was_known_is_written_again() -> None:
    """A record keeps the price that it knew; the ledger's rows have the one that was found out later."""
    steps = steps_of([(3, 5000)])

    def pricing(clock: ManualClock) -> Pricing:
        market = Market(clock=clock, steps=steps, delay_seconds=0, asked=Counter())
        return Late(prices=market, offers=lambda: (OFFER,), executor=InlineExecutor())

    history = play(Plot(prompts=8, workers=1, pricing=pricing))
    check_books(history)
    check_prices(history, steps)
    recorded = sum(item.record.usd for item in records_of(history))
    told = sum(row["usd"] for row in ledger(history, "images"))
    assert told > 4 * recorded
    (node,) = ledger(history, "nodes")
    assert [step["usd_per_hour"] for step in node["prices"]] == [Decimal("0.9"), Decimal(5)]
    assert Decimal("0.9") < node["usd_per_hour"] < Decimal(5)
    assert node["price_source"] == "market"


def node(node_type: str = "g5.xlarge", **changes: object) -> Node:
    """A node of one GPU as its worker reports it."""
    values: dict[str, object] = {
        "node_session": "s",
        "node_id": "i-1",
        "provider": "aws",
        "node_type": node_type,
        "market": "spot",
        "gpu": "g",
        "gpu_count": 1,
        "usd_per_hour": Decimal("0.7"),
        "price_source": "the offer",
    }
    return Node(**(values | changes))  # type: ignore[arg-type]


class OneSource:
    """Answers every question alike."""

    def __init__(self, answer: Quote | None) -> None:
        self.answer = answer
        self.wanted: list[Priced] = []

    def quote(self, wanted: Priced, *, from_ns: int, until_ns: int) -> Quote:
        """The one answer."""
        self.wanted.append(wanted)
        if self.answer is None:
            raise PriceUnknownError("nobody knows z9.huge")
        return self.answer


PLANNED = NodeOffer(type="g5.xlarge", market="spot", max=1, usd_per_hour=Decimal("0.7"), live=True, provider="aws")


def accounts_with(prices: OneSource, offer: NodeOffer, reported: Node) -> Accounts:
    """The books of a driver on which one node showed up an hour ago."""
    pricing = Pricing(prices=prices, offers=lambda: (offer,), executor=InlineExecutor())
    accounts = Accounts(job="j", fence=1, earlier={}, last_seen_ns={}, pricing=pricing)
    accounts.hear(WorkerStarting(worker="w", node=reported, gpu_index=0, at_ns=_START))
    pricing.refresh(accounts.sessions, _START)
    pricing.refresh(accounts.sessions, _START + 3600 * _SECOND)
    return accounts


def quote(usd: str, *, stand_in: str = "") -> Quote:
    """One price at all times."""
    step = PriceStep(at_ns=0, usd_per_hour=Decimal(usd), source="asked")
    return Quote(steps=(step,), final_until_ns=_START, stand_in=stand_in)


@pytest.mark.parametrize(
    ("answer", "offer", "reported", "usd"),
    [
        (quote("2"), PLANNED, node(), "2"),
        (quote("2", stand_in="throttled"), PLANNED, node(), "0.7"),
        (None, PLANNED, node(), "0.7"),
        (quote("2"), replace(PLANNED, live=False), node(), "0.7"),
        (quote("2"), PLANNED, node("g5.12xlarge"), "2"),
        (quote("2", stand_in="throttled"), PLANNED, node("g5.12xlarge"), "2"),
        (None, PLANNED, node("z9.huge"), "0.7"),
    ],
)
def test_node_costs_what_its_type_costs(
    answer: Quote | None, offer: NodeOffer, reported: Node, usd: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A live offer by its source, a fixed one as said, a node of another type by what it reports, with a word."""
    accounts = accounts_with(OneSource(answer), offer, reported)
    accrued = accounts.accrued_usd(_START + 3600 * _SECOND)
    assert abs(accrued - Decimal(usd)) <= Decimal("1e-9")
    assert ("did not plan with" in caplog.text) == (reported.node_type != offer.type)


def test_price_that_the_user_said_for_any_node_holds_for_all() -> None:
    """Who says what a node of a cluster of their own costs is not corrected by what the node says of itself."""
    said = NodeOffer(
        type="local", market="local", max=1, usd_per_hour=Decimal("0.7"), price_source="job file", provider="local"
    )
    accounts = accounts_with(OneSource(quote("2")), said, node("g5.12xlarge", price_source="job file"))
    assert abs(accounts.accrued_usd(_START + 3600 * _SECOND) - Decimal("0.7")) <= Decimal("1e-9")
