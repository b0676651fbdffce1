"""Workers of the stepwise world in bad weather: notices, reclaims, false alarms and full memories at any moment."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.assignment import Assignment
from pipeline.errors import OutOfMemoryError
from pipeline.events import WorkerEvent, WorkerLost
from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.request import Request
from pipeline.working.worker import Worker
from tests.pipeline.mortal_store import DiedError
from tests.pipeline.single_worker import Wrapped
from tests.pipeline.stepwise import StepwiseCompute

Happening = Literal[
    "notice in time", "notice too late", "cancel", "rebalance", "reclaim", "vanish", "die", "fill", "oom-killed"
]

HAPPENINGS: tuple[Happening, ...] = (
    "notice in time",
    "notice too late",
    "cancel",
    "rebalance",
    "reclaim",
    "vanish",
    "die",
    "fill",
    "oom-killed",
)
"""What may happen to a worker: see the methods of `StormyCompute`."""


_LIFE_AFTER_NOTICE = 12
"""Askings for events until a node that was announced to go is gone."""


@dataclass
class Weather:
    """What happens when, over all drivers of a job; it goes on where it was when a driver dies.

    Attributes:
        between: by the number of the asking for events.
        during: by the number of the batch, while the device has it.
    """

    between: Mapping[int, Happening] = field(default_factory=dict)
    during: Mapping[int, Happening] = field(default_factory=dict)
    askings: Any = field(default_factory=itertools.count)
    batches: Any = field(default_factory=itertools.count)
    raced: bool = False
    """Whether a worker went on that the driver had given up, so that images may be rendered twice."""


class StormyCompute(StepwiseCompute):
    """Workers to whom all of it happens; whoever is lost is replaced, on a node of its own where the node is gone."""

    def __init__(self, *, weather: Weather, **values: Any) -> None:
        super().__init__(**values)
        self._weather = weather
        self._limbo: list[tuple[Worker, list[Assignment]]] = []
        self._noticed: dict[str, int] = {}
        self._most = 100
        self._next_gpu = 100

    def load(self, model: Model) -> Renderer:
        """The stand-in, whose batches are weathered."""
        made: list[Worker] = []

        def before(batch: Sequence[Request], size: int) -> None:
            what = self._weather.during.get(next(self._weather.batches))
            name = next((name for name, (worker, _) in self._workers.items() if worker in made), None)
            if what is not None and name is not None:
                self._happen(what, name)
                if name not in self._workers and what != "vanish":
                    raise DiedError(what)
            if size > self._most:
                raise OutOfMemoryError(f"{size} do not fit")

        renderer = Wrapped(super().load(model), before=before)
        self._made = made
        return renderer

    def _start(self, gpu: int) -> None:
        super()._start(gpu)
        name = list(self._workers)[-1]
        self._made.append(self._workers[name][0])

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """What is due happens to whose turn it is; then somebody works."""
        what = self._weather.between.get(next(self._weather.askings))
        self._carry_out()
        names = sorted(self._workers)
        if what is not None and names:
            self._happen(what, names[next(self._turns) % len(names)])
        for worker, inbox in self._limbo:
            if inbox:
                try:
                    worker.work(inbox.pop(0))
                except DiedError:
                    inbox.clear()
        return super().events(timeout_seconds=timeout_seconds)

    def _happen(self, what: Happening, name: str) -> None:
        """Let it happen to this worker."""
        happenings: dict[Happening, Callable[[], None]] = {
            "notice in time": lambda: self._announce(name, seconds=60),
            "notice too late": lambda: self._announce(name, seconds=0.2),
            "cancel": self._cancel,
            "rebalance": lambda: self.notice(name, seconds=0, kind="rebalance"),
            "reclaim": lambda: self._reclaim(name),
            "vanish": lambda: self._vanish(name),
            "die": lambda: self.kill(name),
            "oom-killed": lambda: self._end(name, cause="OUT_OF_MEMORY"),
            "fill": self._fill,
        }
        happenings[what]()

    def _announce(self, name: str, *, seconds: float) -> None:
        """Its node is to go; it will, unless that is taken back."""
        self._noticed[name] = _LIFE_AFTER_NOTICE
        self.notice(name, seconds=seconds)

    def _cancel(self) -> None:
        """All nodes stay."""
        for noticed in set(self._noticed) & set(self._workers):
            self.cancel_notice(noticed)
        self._noticed.clear()

    def _carry_out(self) -> None:
        """What was announced comes true after a while."""
        for name in list(self._noticed):
            self._noticed[name] -= 1
            if not self._noticed[name]:
                del self._noticed[name]
                if name in self._workers:
                    self._reclaim(name)

    def _fill(self) -> None:
        """Less and less fits."""
        self._most = 2 if self._most > 2 else 1

    def lose(self, worker: str, message: str, *, node_lost: bool = False) -> None:
        """Count it."""
        self.deaths += 1
        super().lose(worker, message, node_lost=node_lost)

    def _reclaim(self, name: str) -> None:
        """The whole node is gone, with every worker on it; others come in their place on nodes of their own."""
        node = self.node(int(name.rpartition("-")[2]))
        for other in list(self._workers):
            gpu = int(other.rpartition("-")[2])
            if self.node(gpu).node_session == node.node_session:
                self.lose(other, "its node is gone", node_lost=True)
                self._start_elsewhere()

    def _vanish(self, name: str) -> None:
        """The driver is told that it is lost, and it goes on with all that it had; nobody hears of that."""
        self._weather.raced = True
        self._limbo.append(self._workers[name])
        self.lose(name, "it does not answer")
        self._start_elsewhere()

    def _end(self, name: str, *, cause: str) -> None:
        """The process is gone for this reason."""
        self.deaths += 1
        del self._workers[name]
        self._lost.append(WorkerLost(worker=name, at_ns=self._clock.now_ns(), cause=cause, message="ended"))
        self._start(int(name.rpartition("-")[2]))

    def _start_elsewhere(self) -> None:
        self._next_gpu += 1
        self._start(self._next_gpu)
