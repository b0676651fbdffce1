"""Workers of the stepwise world to whom a test lets things happen at set moments."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.events import WorkerEvent
from pipeline.record import Node
from tests.pipeline.driven_job import WatchedCompute


class Eventful(WatchedCompute):
    """Workers to whom something happens at the n-th asking for events."""

    def __init__(self, *, happens: dict[int, Callable[["Eventful"], None]], **values: Any) -> None:
        super().__init__(**values)
        self._happens, self._askings = happens, 0
        self.given: list[str] = []
        self.left: list[str] = []

    @property
    def names(self) -> list[str]:
        """Of the living workers, the oldest first."""
        return list(self._workers)

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """Let it happen, then work."""
        self._askings += 1
        if (happens := self._happens.get(self._askings)) is not None:
            happens(self)
        return super().events(timeout_seconds=timeout_seconds)

    def assign(self, worker: str, assignment: Any) -> None:
        """Remember who gets work."""
        self.given.append(worker)
        super().assign(worker, assignment)

    def leave(self, worker: str) -> None:
        """Remember whose node is left."""
        self.left.append(worker)
        super().leave(worker)

    def go(self, worker: str, *, node_lost: bool = True) -> None:
        """The announced end."""
        self.lose(worker, "gone", node_lost=node_lost)


class Apart(Eventful):
    """Each worker has a node of its own."""

    def node(self, gpu: int) -> Node:
        """One GPU, one node."""
        return replace(super().node(gpu), node_session=f"{self.session}-{gpu}", gpu_count=1)
