"""Reclaims nodes of a local cluster while a job runs on it: on a thread of its own, as a replay says."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.rehearsing.reclaims import Action, Replay
from pipeline.errors import InfrastructureError

if TYPE_CHECKING:
    from infra.compute.local_cluster import LocalCluster, LocalNode

_LOOK_SECONDS = 0.05

_ZONES = ("local-a", "local-b", "local-c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Something that was done to a node."""

    at_seconds: float
    """Since the first batch was rendered."""
    what: str
    """`announce`, `kill` or `add`; `announce, unheard` where Ray took no note."""
    node: str
    """As the trace names it, or `node 1` and so on."""


class Reclaimer:
    """The nodes of one rehearsal, and what becomes of them.

    Args:
        cluster: where they are.
        names: of the nodes that it begins with; they are started at once.
        notice_seconds: how long before its end a node is announced.
        on_done: told what was done, from the reclaiming thread.
    """

    def __init__(
        self,
        cluster: "LocalCluster",
        names: list[str],
        *,
        notice_seconds: float,
        on_done: Callable[[Done], None],
    ) -> None:
        self._cluster, self._notice_seconds, self._on_done = cluster, notice_seconds, on_done
        self._started = 0
        self._nodes: dict[str, LocalNode] = {name: self._start() for name in names}
        cluster.settle()
        self._begun, self._over = threading.Event(), threading.Event()
        self.done: list[Done] = []
        """What was done so far."""
        self.trouble = ""
        """What could not be done; empty when all could."""

    def begin(self) -> None:
        """The first batch is rendered: the replay's time starts. Calls after the first change nothing."""
        self._begun.set()

    @contextlib.contextmanager
    def at_work(self, replay: Replay) -> Iterator[None]:
        """While the block runs, do what the replay says."""
        thread = threading.Thread(target=self._work, args=(replay,), name="reclaims", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._begun.set()
            thread.join()

    def _work(self, replay: Replay) -> None:
        self._begun.wait()
        started = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            for action in replay.due(lambda: time.monotonic() - started):
                if self._over.is_set():
                    return
                try:
                    what = self._do(action)
                except InfrastructureError as error:
                    self.trouble = str(error)
                    return
                if what:
                    done = Done(at_seconds=time.monotonic() - started, what=what, node=action.node)
                    self.done.append(done)
                    self._on_done(done)

    def _do(self, action: Action) -> str:
        """Do it; says what was done. Raises: InfrastructureError."""
        if action.what == "add":
            self._nodes[action.node] = self._start()
            return "add"
        if action.what == "announce":
            heard = self._cluster.announce(self._nodes[action.node], seconds=self._notice_seconds)
            return "announce" if heard else "announce, unheard"
        self._cluster.kill(self._nodes.pop(action.node))
        return "kill"

    def _start(self) -> "LocalNode":
        """One more spot node, in the next zone."""
        zone = _ZONES[self._started % len(_ZONES)]
        self._started += 1
        return self._cluster.add(labels=node_labels(zone))


def node_labels(zone: str) -> Mapping[str, str]:
    """What a spot node of a cloud is labelled with."""
    return {"ray.io/market-type": "spot", "ray.io/availability-zone": zone, "ray.io/availability-region": "local"}
