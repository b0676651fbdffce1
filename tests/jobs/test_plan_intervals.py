"""A plan's intervals hold what jobs then cost nine times in ten, and a measured ledger plans better than claims do."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from infra.stores.memory import MemoryStore
from jobs.planning.catalogue import read_catalogue, read_offers
from jobs.planning.known_rates import Known, Share, known_from
from jobs.planning.plan_rows import plan_row
from pipeline.estimates.quote import Quote
from pipeline.estimates.throughput import estimate
from pipeline.estimates.work import work_of
from pipeline.job import NodeOffer
from pipeline.ports import Store
from pipeline.reports.ledger import open_ledger
from pipeline.reports.measured import histories, session_rates, usd_per_image
from tests.jobs.made_job import MODEL, NOW, VARIANT
from tests.jobs.made_runs import IMAGES_OF_A_BATCH, SIDE, STEPS, World, drawn_job, drawn_world
from tests.pipeline.reports.made_ledger import make_ledger

WORLDS = 60
NODES = 3
MOST_JOBS = 5
HELD_OUT = (10, 11)
"""Numbers of the jobs that plans are held against."""

CATALOGUE = read_catalogue()
WORK = work_of(CATALOGUE, CATALOGUE.models["sdxl"])
KIND = read_offers(CATALOGUE)["g6.xlarge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a job that was held out came to."""

    world: World
    usd: float
    hours: float
    images_per_hour: float


def batches(world: World) -> int:
    """Of each of the world's jobs: some are a start-up and little else, some hardly notice it."""
    return NODES * (1, 2, 4, 10)[world.seed % 4]


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    """Types of nodes about as fast as claims say that an L4 is."""
    claimed = estimate(CATALOGUE, WORK, CATALOGUE.gpus["L4"])
    assert claimed is not None
    return [drawn_world(seed, batch_seconds=IMAGES_OF_A_BATCH / claimed.images_per_second) for seed in range(WORLDS)]


@pytest.fixture(scope="module")
def known(worlds: list[World]) -> Known:
    """What a ledger of one to five jobs on each type tells, read as a plan reads it."""
    store = MemoryStore()
    for number in range(MOST_JOBS):
        _render(store, [world for world in worlds if number <= world.seed // 4 % MOST_JOBS], number)
    with open_ledger(store) as ledger:
        usd_per_image(ledger)
        return known_from(CATALOGUE, session_rates(ledger), histories(ledger))


@pytest.fixture(scope="module")
def truths(worlds: list[World]) -> list[Truth]:
    """What the ledger says of later jobs."""
    return list(_truths(worlds))


def _truths(worlds: list[World]) -> Iterator[Truth]:
    store = MemoryStore()
    for number in HELD_OUT:
        _render(store, worlds, number)
    by_name = {world.node_type: world for world in worlds}
    with open_ledger(store) as ledger:
        for row in ledger.rows(
            "SELECT node_type, sum(accrued_usd) AS usd, sum(rendering_seconds) AS rendering,"
            " (epoch(max(ended_at)) - epoch(min(started_at))) / 3600 AS hours FROM nodes GROUP BY job, node_type"
        ):
            world = by_name[row["node_type"]]
            rate = batches(world) * IMAGES_OF_A_BATCH / row["rendering"] * NODES * 3600
            yield Truth(world=world, usd=float(row["usd"]), hours=row["hours"], images_per_hour=rate)


def _render(store: Store, worlds: list[World], number: int) -> None:
    """One job in each of these worlds, as one job of the ledger."""
    lives = [life for world in worlds for life in drawn_job(world, number, batches=batches(world), nodes=NODES)]
    make_ledger(store, lives, name=f"job-{number}", submitted_at=NOW - timedelta(days=20 - number))


def planned(world: World, known: Known) -> Quote:
    """The plan of such a job in this world, of which only what is known is known."""
    model = replace(MODEL, name="sdxl", precision="fp16")
    variant = replace(VARIANT, precision="fp16", width=SIDE, height=SIDE, steps=STEPS, guidance_scale=7.0)
    share = Share(model=model, variant=variant, work=WORK, images=batches(world) * IMAGES_OF_A_BATCH)
    offer = NodeOffer(
        type=world.node_type, market="spot", max=NODES, usd_per_hour=world.usd_per_hour, price_source="made"
    )
    return plan_row([share], offer, KIND, known, batch=IMAGES_OF_A_BATCH).quote


def least_of(trials: int, share: float = 0.9, sure: float = 0.99) -> int:
    """The fewest hits that so many trials, each a hit with this probability, leave with this certainty."""
    below = 0.0
    for hits in range(trials + 1):
        below += math.comb(trials, hits) * share**hits * (1 - share) ** (trials - hits)
        if below > 1 - sure:
            return hits
    raise AssertionError


def test_intervals_hold_what_later_jobs_cost(known: Known, truths: list[Truth]) -> None:
    """Dollars, hours and speed, whether one job was measured before or five, each lie inside nine times in ten."""
    assert len(truths) == WORLDS * len(HELD_OUT)
    held = {"usd": 0, "hours": 0, "images_per_hour": 0}
    for truth in truths:
        quote = planned(truth.world, known)
        assert quote.origin == "measured"
        for name in held:
            figure = getattr(quote, name)
            held[name] += float(figure.low) <= getattr(truth, name) <= float(figure.high)
    assert min(held.values()) >= least_of(len(truths)), held


def test_intervals_of_one_job_hold_the_next(known: Known, truths: list[Truth]) -> None:
    """Many nodes of one job are one measurement: they had the same day, prompts and software."""
    alone = [truth for truth in truths if truth.world.seed // 4 % MOST_JOBS == 0]
    quotes = [(planned(truth.world, known), truth) for truth in alone]
    held = [quote.images_per_hour.low <= truth.images_per_hour <= quote.images_per_hour.high for quote, truth in quotes]
    assert sum(held) >= least_of(len(alone))


def test_intervals_of_a_measured_ledger_are_narrow(known: Known, worlds: list[World]) -> None:
    """They hold the truth because they are right, and not because they hold everything."""
    measured, claimed = _width(worlds, known), _width(worlds, _nothing())
    assert measured < 2
    assert claimed > 1.5 * measured


def _width(worlds: list[World], knowing: Known) -> float:
    """How many times its low end the high end of a plan is, the median."""
    quotes = [planned(world, knowing).usd for world in worlds]
    return sorted(float(usd.high / usd.low) for usd in quotes)[len(quotes) // 2]


def test_plan_from_a_measured_ledger_is_closer_than_one_from_claims(known: Known, truths: list[Truth]) -> None:
    """In nearly every world, and by more than half on average; types differ from what claims say, jobs hardly."""
    nothing = _nothing()

    def error(truth: Truth, knowing: Known) -> float:
        return abs(math.log(float(planned(truth.world, knowing).usd.middle) / truth.usd))

    errors = [(error(truth, known), error(truth, nothing)) for truth in truths]
    assert sum(measured for measured, _ in errors) < sum(claimed for _, claimed in errors) / 2
    assert sum(measured < claimed for measured, claimed in errors) >= least_of(len(truths), share=0.8)


def _nothing() -> Known:
    """Of a store that has rendered nothing."""
    return known_from(CATALOGUE, [], {})
