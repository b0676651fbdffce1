"""What becomes of the nodes that a driver uses: since when they cost it, who takes them, when they are gone."""

import logging
from collections.abc import Collection

from infra.compute.notices import drain_notice, standing
from infra.compute.ray_drain import drain
from infra.compute.ray_nodes import RayNodes
from infra.compute.ray_watch import RayWatches
from infra.providers.reports import Notice
from pipeline.events import NodeGone, WorkerEvent
from pipeline.ports import Clock
from pipeline.record import Cause

_LOG = logging.getLogger(__name__)


class NodeFates:
    """The nodes of one driver.

    Args:
        nodes: what Ray knows of them.
        watches: what they say themselves.
        clock: the driver's.
        drains: whether to mark nodes draining in Ray; our own Ray has no other node to go to.
    """

    def __init__(self, nodes: RayNodes, watches: RayWatches, *, clock: Clock, drains: bool) -> None:
        self._nodes, self._watches, self._clock, self._drains = nodes, watches, clock, drains
        self._began_ns = clock.now_ns()
        self._sessions: dict[str, dict[str, str]] = {}
        self._timed: set[str] = set()
        self._ours: set[str] = set()
        self._silent: set[str] = set()
        self._said = False

    def used(self, node_id: str, session: str, worker: str) -> None:
        """A worker stands on the node now, which so is there, whatever was thought of it."""
        self._sessions.setdefault(node_id, {})[session] = worker
        self._silent.discard(node_id)
        self._nodes.back(node_id)

    def take_since_ns(self, node_id: str) -> int:
        """When the node began to cost this driver's job, told once; 0 afterwards.

        Its launch, where the cloud tells that and it was not launched for somebody before; else when Ray had it.
        """
        if node_id in self._timed:
            return 0
        self._timed.add(node_id)
        seen_ns = self._nodes.first_seen_ns(node_id)
        identity = self._watches.identity(node_id)
        launched_ns = identity.launched_ns if identity else 0
        return min(seen_ns, launched_ns) if launched_ns >= self._began_ns else seen_ns

    def standing(self, node_id: str) -> Notice | None:
        """The notice that the node's workers should know of now; the node is marked draining for it."""
        told = list(self._watches.notices(node_id))
        for notice in told:
            if notice.kind == "reclaim" and node_id not in self._ours:
                self._drain(node_id, notice.deadline_ns, f"{notice.source} takes it")
        deadline_ns, seen_ns = self._nodes.drained(node_id)
        if seen_ns and node_id not in self._ours:
            told.append(drain_notice(deadline_ns, seen_ns=seen_ns))
        return standing(told, now_ns=self._clock.now_ns())

    def leave(self, node_id: str) -> None:
        """Have nothing placed there any more."""
        self._drain(node_id, self._clock.now_ns(), "Spotrender leaves it")

    def fell_silent(self, node_id: str) -> None:
        """Nothing on the node answers any more."""
        self._silent.add(node_id)

    def lost(self, node_id: str) -> bool:
        """Whether the node is gone."""
        return node_id in self._silent or self._nodes.lost(node_id)

    def epitaph(self, node_id: str) -> str:
        """How the node was lost, in a few words."""
        return f"its node {node_id[:12]} {'fell silent' if node_id in self._silent else 'died'}"

    def taken(self, node_id: str) -> bool:
        """Whether somebody takes or took the node, as a notice or Ray said."""
        noticed = any(notice.kind == "reclaim" for notice in self._watches.notices(node_id))
        return noticed or (node_id not in self._ours and self._nodes.preempted(node_id))

    def gone(self, occupied: Collection[str]) -> list[WorkerEvent]:
        """Nodes that Ray has seen dead after their last worker went; each is told once.

        Args:
            occupied: nodes with workers, whose losses tell it.
        """
        events: list[WorkerEvent] = []
        for node_id in [one for one in self._sessions if one not in occupied and self._nodes.dead(one)]:
            cause = Cause.PREEMPTED if self.taken(node_id) else Cause.INFRASTRUCTURE
            for session, worker in self._sessions.pop(node_id).items():
                at_ns = self._clock.now_ns()
                events.append(NodeGone(worker=worker, node_session=session, at_ns=at_ns, cause=cause.value))
            self._watches.forget(node_id)
        return events

    def _drain(self, node_id: str, deadline_ns: int, why: str) -> None:
        """Mark it, once; where somebody else has, it stays theirs."""
        if self._drains and node_id not in self._ours:
            theirs = bool(self._nodes.drained(node_id)[1])
            failed = drain(node_id, deadline_ns=deadline_ns, why=why)
            if failed and not self._said:
                self._said = True
                _LOG.warning("nodes cannot be marked draining in Ray (%s); they may be given work to the end", failed)
            if not theirs:
                self._ours.add(node_id)
