"""Which nodes a driver asks for: none without work, the reserve for the deadline alone; and what it says of others."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.driving.staffing import within
from pipeline.events import WorkerEvent
from pipeline.job import JobState, NodeOffer, Settings
from pipeline.record import Node
from pipeline.status import Status
from tests.pipeline.driven_job import Studio, WatchedCompute

SPOT = NodeOffer(type="small", market="spot", max=2, usd_per_hour=Decimal("0.3"))
RESERVE = NodeOffer(type="small", market="on_demand", max=4, usd_per_hour=Decimal("0.9"))


class Nodes(WatchedCompute):
    """Workers that stand each on a node of their own, and come and go as the offers say.

    Attributes:
        told: all offers, as counts.
        dies: how many workers with work die, once nodes were let go.
    """

    dies = 0

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.told: list[tuple[int, ...]] = []
        self._offers: tuple[NodeOffer, ...] = ()

    def node(self, gpu: int) -> Node:
        """The n-th of the offers' nodes."""
        kinds = [offer for offer in self._offers for _ in range(offer.max)]
        offer = kinds[gpu] if gpu < len(kinds) else SPOT
        made = replace(super().node(99), node_session=f"{self.session}-{gpu}", node_id=f"n{gpu}")
        return replace(made, node_type=offer.type, market=offer.market, usd_per_hour=offer.usd_per_hour)

    def offer(self, offers: tuple[NodeOffer, ...]) -> None:
        """Remember it; who has no work goes first."""
        self._offers = offers
        self.told.append(tuple(offer.max for offer in offers))
        if self.started:
            self._count = sum(self.told[-1])
            surplus = len(self._workers) - self._count
            idle = [name for name, (_, inbox) in self._workers.items() if not inbox]
            for name in idle[: max(0, surplus)]:
                self._let_go(name)
            for gpu in range(len(self._workers), self._count):
                self._start(gpu + 10 * len(self.told) if gpu < len(self._workers) else gpu)

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """Those who are to die do so."""
        busy = [name for name, (_, inbox) in self._workers.items() if inbox]
        if self.dies and self.told and busy:
            self.dies -= 1
            self.lose(busy[0], "killed")
        return super().events(timeout_seconds=timeout_seconds)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def drive(
    studio: Studio, settings: Settings, *, prompts: int, seconds: str, **more: Any
) -> tuple[Status, Nodes, set[str]]:
    """A job whose batches take so long; gives its end, its workers, and all that was said."""
    made: list[Nodes] = []
    said: set[str] = set()

    def compute(**values: Any) -> Nodes:
        made.append(type("These", (Nodes,), more)(**values))
        made[0]._offers = settings.nodes  # noqa: SLF001 - as its spec would say
        return made[0]

    prepared = studio.prepare(prompts=prompts, seconds_per_batch=seconds)
    status = studio.drive(
        prepared, settings=settings, compute=compute, watch=lambda one, _button: said.add(one.message)
    )
    prepared.check_rendered_once()
    prepared.check_books()
    return status, made[0], said


def test_nodes_without_work_are_let_go(studio: Studio) -> None:
    """Others on the cluster may use them; nobody takes that for a loss."""
    status, compute, _ = drive(studio, Settings(nodes=(SPOT,)), prompts=8, seconds="40")
    assert compute.told[0] == (1,)
    assert (status.state, status.workers_lost) == (JobState.SUCCEEDED, 0)


def test_nodes_come_back_for_work_that_does(studio: Studio) -> None:
    """The last worker dies with what it had: all nodes are asked for again."""
    status, compute, _ = drive(studio, Settings(nodes=(SPOT,)), prompts=8, seconds="40", dies=1)
    assert status.state is JobState.SUCCEEDED
    assert compute.told[:2] == [(1,), (2,)]


def test_missing_nodes_are_said_with_since_when(studio: Studio) -> None:
    """Two are there of eight; a job of its own pace goes on with these."""
    _, _, said = drive(studio, Settings(nodes=(replace(SPOT, max=8),)), prompts=120, seconds="5")
    assert "waiting for nodes: 8 asked, 2 there, since 2027-01-15T08:00+00:00" in said


def test_reserve_is_not_asked_for_while_there_is_time(studio: Studio) -> None:
    """The compute is told so before it starts, and again when it is closed, for a driver that goes on."""
    settings = Settings(nodes=(RESERVE, SPOT), deadline=datetime(2027, 2, 1, tzinfo=UTC))
    status, compute, said = drive(studio, settings, prompts=8, seconds="1")
    assert status.state is JobState.SUCCEEDED
    assert compute.told == [(0, 2), (4, 2)]
    assert said == {""}


def test_reserve_is_what_is_marked_or_on_demand_beside_spot() -> None:
    """Only in a job with a deadline; an offer may say otherwise."""
    deadline = datetime(2027, 1, 15, tzinfo=UTC)
    settings = Settings(nodes=(RESERVE, SPOT), deadline=deadline)
    assert [settings.is_reserve(offer) for offer in settings.nodes] == [True, False]
    assert not Settings(nodes=(RESERVE, SPOT)).is_reserve(RESERVE)
    assert not Settings(nodes=(RESERVE,), deadline=deadline).is_reserve(RESERVE)
    assert not settings.is_reserve(replace(RESERVE, only_for_deadline=False))
    assert Settings(nodes=(SPOT,)).is_reserve(replace(RESERVE, only_for_deadline=True))


def test_number_of_workers_caps_offers_in_their_order() -> None:
    """In whole nodes; an offer of none stays in its place."""
    offers = (replace(SPOT, gpus=4), SPOT, RESERVE)
    assert within(offers, [2, 2, 4], workers=5) == (2, 0, 0)
    assert within(offers, [1, 2, 4], workers=7) == (1, 2, 1)
    assert within(offers, [1, 2, 4], workers=None) == (1, 2, 4)
