"""What a notice does: to a worker and its batch, to the driver and its queue, and in the books."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock, SystemClock
from pipeline.errors import HandedBackError
from pipeline.events import AttemptEnded, WorkerEvent
from pipeline.job import JobState, Settings
from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.record import Cause
from pipeline.request import Request
from pipeline.status import Status
from pipeline.working.worker import Worker
from tests.pipeline.driven_job import PreparedJob, Studio, WatchedCompute
from tests.pipeline.eventful import Apart, Eventful
from tests.pipeline.mortal_store import DiedError
from tests.pipeline.single_worker import Worked, Wrapped, assignment, load_synthetic, node, synthetic_model, worker

TWELVE = [f"prompt {number}" for number in range(12)]


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def noticed_worker(clock: ManualClock, *, at_batch: int, seconds: float) -> tuple[Worker, MemoryStore]:
    """A worker whose batches take two seconds, and who gets a notice in the middle of one of them.

    Args:
        clock: time.
        at_batch: which one, from 1.
        seconds: what is left of the node's life then.
    """
    store, batches = MemoryStore(now_ns=clock.now_ns), list[int]()
    made: list[Worker] = []

    def before(_batch: Sequence[Request], _size: int) -> None:
        batches.append(1)
        clock.advance(1)
        if len(batches) == at_batch:
            made[0].notice(clock.now_ns() + round(seconds * 1e9))
        clock.advance(1)

    made.append(worker(store, clock=clock, load=lambda model: Wrapped(load_synthetic(model), before=before)))
    return made[0], store


def work(one: Worker, store: MemoryStore) -> Worked:
    """Three batches of four."""
    one.work(assignment(TWELVE))
    return Worked(events=tuple(one.poll(0)), store=store)


def test_batch_that_fits_is_finished_and_no_other_is_begun() -> None:
    """Measured batches took two seconds, one is over: five are enough for the rest, with margin."""
    worked = work(*noticed_worker(ManualClock(), at_batch=2, seconds=5))
    assert worked.ended.cause == Cause.HANDED_BACK
    assert [len(record.images) for record in worked.stored] == [4, 4]
    assert isinstance([event for event in worked.events if not hasattr(event, "facts")][-1], AttemptEnded)


def test_batch_that_does_not_fit_is_handed_back_at_once_and_commits_harmlessly() -> None:
    """The driver hears it before the device is done; what the device had is committed late, if it still can be."""
    worked = work(*noticed_worker(ManualClock(), at_batch=2, seconds=1))
    assert worked.ended.cause == Cause.HANDED_BACK
    assert "needs" in worked.ended.message
    kinds = [type(event).__name__ for event in worked.events]
    assert kinds.index("AttemptEnded") < len(kinds) - 1 - kinds[::-1].index("BatchCommitted")
    assert len(worked.stored) == 2


def test_first_batch_of_its_kind_goes_on_as_nobody_knows_how_long_it_takes() -> None:
    """Nothing was measured, so there is nothing to say against it."""
    worked = work(*noticed_worker(ManualClock(), at_batch=1, seconds=0.5))
    assert [len(record.images) for record in worked.stored] == [4]


def test_renderer_that_can_be_interrupted_is() -> None:
    """The batch is abandoned between two steps, and nothing of it is committed."""
    clock, store = ManualClock(), MemoryStore()
    made: list[Worker] = []

    class Interruptible(Wrapped):
        interrupted = False

        def interrupt(self) -> None:
            """Remember it."""
            self.interrupted = True

        def denoise(self, batch: Sequence[Request], *, batch_size: int) -> Any:
            """Two steps of a second, the second of which asks."""
            clock.advance(1)
            if "prompt 4" in {request.prompt for request in batch}:
                made[0].notice(clock.now_ns() + 10**8)
            if self.interrupted:
                raise HandedBackError("interrupted")
            clock.advance(1)
            return super().denoise(batch, batch_size=batch_size)

    made.append(worker(store, clock=clock, load=lambda model: Interruptible(load_synthetic(model))))
    worked = work(made[0], store)
    assert worked.ended.cause == Cause.HANDED_BACK
    assert [len(record.images) for record in worked.stored] == [4]


def test_inbox_is_handed_back_at_once_and_so_is_whatever_comes_later() -> None:
    """Also while the device is busy; until the notice is taken back."""
    store, busy, go_on = MemoryStore(), threading.Event(), threading.Event()

    def before(_batch: Sequence[Request], _size: int) -> None:
        busy.set()
        assert go_on.wait(30)

    one = Worker(
        name="w",
        node=node(),
        gpu_index=0,
        load=lambda model: Wrapped(load_synthetic(model), before=before),
        model=synthetic_model(),
        store=store,
        clock=SystemClock(),
    )
    life = threading.Thread(target=one.run)
    life.start()
    for number in range(3):
        one.assign(assignment(TWELVE[:4], attempt=f"a{number}"))
    assert busy.wait(30)
    one.notice(SystemClock().now_ns() + 60 * 10**9)
    one.assign(assignment(TWELVE[:4], attempt="a3"))
    told = ends(one, 3)
    assert [(end.attempt, end.cause) for end in told] == [(f"a{number}", Cause.HANDED_BACK) for number in (1, 2, 3)]
    go_on.set()
    assert [(end.attempt, end.cause) for end in ends(one, 1)] == [("a0", Cause.SUCCEEDED)]
    one.notice(None)
    one.assign(assignment(TWELVE[:4], attempt="a4"))
    assert [(end.attempt, end.cause) for end in ends(one, 1)] == [("a4", Cause.SUCCEEDED)]
    one.close()
    life.join(30)


def ends(one: Worker, count: int) -> list[AttemptEnded]:
    """The next so many ends that a worker tells."""
    told: list[WorkerEvent] = []
    while sum(isinstance(event, AttemptEnded) for event in told) < count:
        told += one.poll(5)
    return [event for event in told if isinstance(event, AttemptEnded)]


def drive(
    studio: Studio, happens: dict[int, Callable[[Eventful], None]], *, prompts: int = 30, **options: Any
) -> tuple[Status, list[Status], list[Apart], PreparedJob]:
    """Drive a job in which these things happen."""
    prepared = studio.prepare(prompts=prompts)
    heard: list[Status] = []
    made: list[Apart] = []

    def compute(**values: Any) -> WatchedCompute:
        made.append(Apart(happens=happens, **values))
        return made[-1]

    status = studio.drive(prepared, compute=compute, watch=lambda status, _button: heard.append(status), **options)
    return status, heard, made, prepared


def test_noticed_worker_gets_nothing_more_and_its_loss_is_a_preemption(studio: Studio) -> None:
    """Its inbox goes to others; the status says what is going on; no try is counted; idling is the cloud's doing."""
    name: list[str] = []

    def announce(compute: Eventful) -> None:
        name.append(compute.names[0])
        compute.notice(name[0], seconds=30)

    status, heard, _, prepared = drive(studio, {4: announce, 12: lambda compute: compute.go(name[0])})
    assert (status.state, status.workers_lost) == (JobState.SUCCEEDED, 1)
    assert any(one.message == "1 node is being reclaimed" for one in heard)
    assert set(status.retries) <= {"HANDED_BACK", "PREEMPTED"}
    prepared.check_rendered_once()
    prepared.check_books()
    (gone,) = [row for row in prepared.ledger("nodes") if row["terminated_by"] == "reclaimed"]
    assert gone["lost_to_preemption_usd"] > 0
    assert gone["lost_to_failure_usd"] == 0


def test_cancelled_notice_gives_the_worker_work_again(studio: Studio) -> None:
    """Nothing is lost, and what it idled in between is shown as the cloud's doing."""
    name: list[str] = []

    def announce(compute: Eventful) -> None:
        name.append(compute.names[0])
        compute.notice(name[0], seconds=30)

    status, _, made, prepared = drive(
        studio, {4: announce, 10: lambda compute: compute.cancel_notice(name[0])}, prompts=60
    )
    assert (status.state, status.workers_lost) == (JobState.SUCCEEDED, 0)
    assert name[0] in made[0].given[-4:]
    assert prepared.spent("lost_to_preemption") > 0
    prepared.check_rendered_once()
    prepared.check_books()


@pytest.mark.parametrize("choice", ["ignore", "leave"])
def test_rebalance_recommendation_is_ignored_or_the_node_is_left(studio: Studio, choice: str) -> None:
    """As the settings say: left means that it finishes what it has, and another worker comes in its place."""
    name: list[str] = []

    def recommend(compute: Eventful) -> None:
        name.append(compute.names[0])
        compute.notice(name[0], seconds=0, kind="rebalance")

    status, _, made, prepared = drive(
        studio, {4: recommend}, prompts=60, settings=Settings(nodes=(), on_rebalance=choice)
    )
    assert (status.state, status.workers_lost) == (JobState.SUCCEEDED, 0)
    assert made[0].left == ([name[0]] if choice == "leave" else [])
    assert status.retries == {}
    prepared.check_rendered_once()
    prepared.check_books()


def test_preemptions_are_never_counted_against_an_image(studio: Studio) -> None:
    """Twenty in a row, each announced, each with the same image on the device: then it is rendered."""
    seen: list[int] = []

    class Doomed(Apart):
        def load(self, model: Model) -> Renderer:
            """Each of the first twenty processes is announced to go before its first batch, and goes."""

            def before(_batch: Sequence[Request], _size: int) -> None:
                if len(seen) < 20:
                    seen.append(1)
                    name = next(iter(self._workers))
                    self.notice(name, seconds=60)
                    worker_index = int(name.rpartition("-")[2])
                    self.lose(name, "reclaimed")
                    self._start(worker_index)
                    raise DiedError("reclaimed")

            return Wrapped(super().load(model), before=before)

    prepared = studio.prepare(prompts=1)
    status = studio.drive(prepared, compute=lambda **values: Doomed(happens={}, **(values | {"workers": 1})))
    assert (status.state, status.failed) == (JobState.SUCCEEDED, 0)
    assert status.retries == {"PREEMPTED": 20}
