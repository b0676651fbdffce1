"""All watchers of a driver: one on every node that it uses, started anew when it is lost."""

import contextlib
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError

from infra.compute.backoff import Backoff
from infra.compute.node_watcher import node_watcher
from infra.compute.ray_faults import summary
from infra.providers.reports import Identity, Notice
from infra.providers.watch import Report

_POLL_SECONDS = 2.0
_IDENTITY_SECONDS = 10.0
"""A node whose watcher has said nothing for so long is used without knowing more of it."""

_EMPTY_SECONDS = 30.0

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """One node."""

    provider: str
    backoff: Backoff
    since: float
    """Monotonic seconds, like all below."""
    heard_at: float
    actor: Any = None
    call: Any = None
    due_at: float = 0.0
    occupied_at: float = 0.0
    report: Report = field(default_factory=Report)


class RayWatches:
    """The watchers; without `enabled`, nobody watches and nothing is known.

    Args:
        enabled: whether to start any.
        notice_file: for nodes whose own environment names none.
    """

    def __init__(self, *, enabled: bool, notice_file: str) -> None:
        self._enabled, self._notice_file = enabled, notice_file
        self._nodes: dict[str, _Watched] = {}
        self._said: set[str] = set()

    @property
    def calls(self) -> list[Any]:
        """Outstanding ones, for Ray to wait on."""
        return [watched.call for watched in self._nodes.values() if watched.call is not None]

    def watch(self, node_id: str, provider: str) -> None:
        """Have this node watched, if it is not yet."""
        if self._enabled and node_id not in self._nodes:
            now = time.monotonic()
            self._nodes[node_id] = _Watched(
                provider, Backoff(most_seconds=30.0), since=now, heard_at=now, occupied_at=now
            )
            self._start_due()

    def forget(self, node_id: str) -> None:
        """The node is gone, or of no interest any more."""
        watched = self._nodes.pop(node_id, None)
        if watched is not None:
            _end(watched)

    def hear(self, done: list[Any]) -> None:
        """Take the answers among these calls, and start what is due."""
        finished = set(done)
        for node_id, watched in self._nodes.items():
            if watched.call in finished:
                self._answered(node_id, watched)
        self._start_due()

    def knows(self, node_id: str) -> bool:
        """Whether it makes no sense to wait any longer for the node to say who it is."""
        watched = self._nodes.get(node_id)
        return watched is None or watched.report.settled or time.monotonic() - watched.since > _IDENTITY_SECONDS

    def identity(self, node_id: str) -> Identity | None:
        """What the node said of itself."""
        watched = self._nodes.get(node_id)
        return watched.report.identity if watched else None

    def notices(self, node_id: str) -> tuple[Notice, ...]:
        """What stands for the node, as it said last."""
        watched = self._nodes.get(node_id)
        return watched.report.notices if watched else ()

    def silent(self, node_id: str, *, seconds: float) -> bool:
        """Whether the node's watcher, which has spoken before, has said nothing for so long."""
        watched = self._nodes.get(node_id)
        if watched is None or watched.call is None or watched.heard_at == watched.since:
            return False
        return time.monotonic() - watched.heard_at > seconds

    def reap(self, occupied: Collection[str]) -> None:
        """Watch no longer over nodes that have had none of our workers for a while, so that they may be let go.

        Where an end was announced, the watch stays: it says why the node will be gone.
        """
        now = time.monotonic()
        for node_id, watched in list(self._nodes.items()):
            if node_id in occupied:
                watched.occupied_at = now
            elif now - watched.occupied_at > _EMPTY_SECONDS and not watched.report.notices:
                self.forget(node_id)

    def close(self) -> None:
        """End all."""
        for node_id in list(self._nodes):
            self.forget(node_id)

    def _answered(self, node_id: str, watched: _Watched) -> None:
        """One report, and the next question; or a watcher's end."""
        call, watched.call = watched.call, None
        try:
            report = ray.get(call)
        except RayError as error:
            watched.due_at = time.monotonic() + watched.backoff.failed() + 1.0
            _LOG.info("the watcher of node %s ended (%s) and is started again", node_id[:12], summary(error))
            _end(watched)
            return
        # A new watcher's first words may come before it has asked everybody: what stood before it stands till then.
        watched.report = (
            report if report.complete else replace(report, notices=watched.report.notices or report.notices)
        )
        watched.heard_at = time.monotonic()
        watched.backoff.succeeded()
        watched.call = watched.actor.report.remote(_POLL_SECONDS)
        for trouble in watched.report.troubles:
            self._say(logging.WARNING, f"node {node_id[:12]} may hear of no notice: {trouble}")
        if report.settled and report.identity is None:
            self._say(logging.INFO, "no cloud speaks for these nodes: of their end only Ray's drains and the file tell")

    def _say(self, level: int, said: str) -> None:
        """Once for all nodes."""
        what = said.partition(": ")[2]
        if what not in self._said:
            self._said.add(what)
            _LOG.log(level, "%s", said)

    def _start_due(self) -> None:
        """Start the watchers of nodes that have none."""
        now = time.monotonic()
        for node_id, watched in self._nodes.items():
            if watched.actor is None and watched.due_at <= now:
                watched.actor = node_watcher(node_id, watched.provider, self._notice_file)
                watched.call = watched.actor.report.remote(_POLL_SECONDS)


def _end(watched: _Watched) -> None:
    """End the process, if there is one."""
    if watched.actor is not None:
        with contextlib.suppress(RayError, ValueError):
            ray.kill(watched.actor, no_restart=True)
    watched.actor = watched.call = None
