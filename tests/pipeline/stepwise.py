"""A world without threads: every step of driver and workers happens in order, and any of them may be the last."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from decimal import Decimal
from typing import Any

from pipeline.assignment import Assignment
from pipeline.clock import ManualClock
from pipeline.driving.run_job import World
from pipeline.events import NoticeCancelled, NoticeKind, NoticeSeen, WorkerEvent, WorkerLost
from pipeline.job import NodeOffer
from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.record import Node
from pipeline.renderers.synthetic import SyntheticKind
from pipeline.working.stages import InlineStages
from pipeline.working.worker import Worker
from tests.pipeline.mortal_store import DiedError, MortalStore


class InlineExecutor(Executor):
    """Runs everything at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run now; what ends the process ends it here."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


class StepwiseCompute:
    """Workers that work only while the driver asks for events: one attempt for one worker at each asking.

    Args:
        workers: how many at a time; a dead one is replaced.
        store: theirs; a `DiedError` from it is the death of the worker that made the call.
        clock: moves on with every event.
        model: what they load.
        turns: which worker's turn it is, as whole numbers for ever.
        session: the node session; the same as an earlier driver's where the node outlived it.
    """

    def __init__(
        self,
        *,
        workers: int,
        store: MortalStore,
        clock: ManualClock,
        model: Model,
        turns: Iterator[int],
        session: str,
    ) -> None:
        self._count = self._on_first_node = workers
        self._store, self._clock, self._model, self._turns = store, clock, model, turns
        self._numbers = itertools.count()
        self._workers: dict[str, tuple[Worker, list[Assignment]]] = {}
        self._lost: list[WorkerEvent] = []
        self.session = session
        self.deaths = 0
        self.go_on = False

    def start(self) -> None:
        """Start them all."""
        for gpu in range(self._count):
            self._start(gpu)

    def _start(self, gpu: int) -> None:
        node = self.node(gpu)
        name = f"{self.session}-w{id(self)}-{next(self._numbers)}-{gpu}"
        worker = Worker(
            name=name,
            node=node,
            gpu_index=min(gpu, node.gpu_count - 1),
            load=self.load,
            go_on=self.go_on,
            model=self._model,
            store=self._store,
            clock=self._clock,
            stages=InlineStages(),
        )
        worker.start()
        self._workers[name] = (worker, [])

    def node(self, gpu: int) -> Node:
        """Where a worker stands: all of the first ones on one node."""
        first = gpu < self._on_first_node
        return Node(
            node_session=self.session if first else f"{self.session}-{gpu}",
            node_id="n" if first else f"n{gpu}",
            provider="local",
            node_type="local",
            market="local",
            gpu="cpu",
            gpu_count=self._on_first_node if first else 1,
            usd_per_hour=Decimal("0.7"),
        )

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """Let one worker work through one attempt, then tell what happened to any of them."""
        self._clock.advance(timeout_seconds)
        busy = sorted(name for name, (_, inbox) in self._workers.items() if inbox)
        lost, self._lost = self._lost, []
        events: list[WorkerEvent] = list(lost)
        if busy:
            name = busy[next(self._turns) % len(busy)]
            worker, inbox = self._workers[name]
            try:
                worker.work(inbox.pop(0))
            except DiedError:
                self.deaths += 1
                events.extend(worker.poll(0)[: next(self._turns) % 3])  # some of its last events never arrive
                if self._workers.pop(name, None) is None:
                    return events  # its end was told already
                gone = WorkerLost(worker=name, at_ns=self._clock.now_ns(), cause="INFRASTRUCTURE", message="died")
                self._lost.append(gone)
                self._start(int(name.rpartition("-")[2]))
        for worker, _ in self._workers.values():
            events.extend(worker.poll(0))
        return events

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Into the inbox; a worker that died meanwhile takes nothing."""
        if worker in self._workers:
            self._workers[worker][1].append(assignment)

    def release(self, worker: str) -> None:
        """Hand back."""
        if worker in self._workers:
            self._workers[worker][0].release()

    def offer(self, offers: tuple[NodeOffer, ...]) -> None:
        """As many workers as the offers come to: more at once, fewer when they have nothing to do; none: as before."""
        self._count = sum(offer.max * offer.gpus for offer in offers) or self._count
        held = {int(name.rpartition("-")[2]) for name in self._workers}
        for gpu in sorted(set(range(self._count)) - held):
            self._start(gpu)
        for name, (_, inbox) in list(self._workers.items()):
            if int(name.rpartition("-")[2]) >= self._count and not inbox:
                self._let_go(name)

    def leave(self, worker: str) -> None:
        """End it, and start another."""
        if worker in self._workers:
            self._let_go(worker)
            self._start(int(worker.rpartition("-")[2]))

    def _let_go(self, name: str) -> None:
        """End a worker; what it told is lost, its loss is told next."""
        del self._workers[name]
        gone = WorkerLost(worker=name, at_ns=self._clock.now_ns(), cause="HANDED_BACK", message="let go")
        self._lost.append(gone)

    def load(self, model: Model) -> Renderer:
        """The stand-in, whose device takes time on the clock."""
        return SyntheticKind(sleep=self._clock.advance).load(model, device="cpu", threads=1)

    def notice(self, worker: str, *, seconds: float, kind: NoticeKind = "reclaim") -> None:
        """Its node is to go in so many seconds."""
        now_ns = self._clock.now_ns()
        deadline_ns = now_ns + round(seconds * 1e9)
        if kind == "reclaim":
            self._workers[worker][0].notice(deadline_ns)
        self._lost.append(NoticeSeen(worker=worker, at_ns=now_ns, kind=kind, deadline_ns=deadline_ns, source="static"))

    def cancel_notice(self, worker: str) -> None:
        """Its node stays."""
        self._workers[worker][0].notice(None)
        self._lost.append(NoticeCancelled(worker=worker, at_ns=self._clock.now_ns()))

    def kill(self, worker: str) -> None:
        """End it, and start another."""
        if worker in self._workers:
            self.lose(worker, "killed")
            self._start(int(worker.rpartition("-")[2]))

    def lose(self, worker: str, message: str, *, node_lost: bool = False) -> None:
        """It dies; nobody takes its place yet."""
        del self._workers[worker]
        self._lost.append(
            WorkerLost(
                worker=worker,
                at_ns=self._clock.now_ns(),
                cause="INFRASTRUCTURE",
                message=message,
                node_lost=node_lost,
            )
        )

    def close(self) -> None:
        """End all."""
        self._workers.clear()


def world(store: MortalStore, compute: StepwiseCompute, clock: ManualClock, attempts: Iterator[int]) -> World:
    """One driver's world."""
    return World(
        store=store,
        compute=compute,
        clock=clock,
        executor=InlineExecutor(),
        background=InlineExecutor(),
        new_attempt=lambda: f"a{next(attempts)}",
    )
