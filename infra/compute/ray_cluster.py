"""Keeps one Ray actor per GPU (or per N CPUs) of the offered nodes up, and carries messages to and fro.

All workers are asked for at once. Those that find no node wait as pending actors: that is the demand which Ray's
autoscaler answers with nodes, and a node that joins gets its workers with nothing more to be done.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from infra.compute.notices import change, ends
from infra.compute.ray_crew import Crew
from infra.compute.ray_demand import demands
from infra.compute.ray_fate import NodeFates
from infra.compute.ray_faults import cause_of, node_died, refusal, summary
from infra.compute.ray_joining import joined, worker_cpus, worker_secrets
from infra.compute.ray_nodes import RayNodes
from infra.compute.ray_places import Member
from infra.compute.ray_seating import other_code, seat
from infra.compute.ray_shortage import Shortages
from infra.compute.ray_watch import RayWatches
from infra.compute.spec import ComputeSpec
from infra.providers.sources import AUTOMATIC, worth_watching
from pipeline.assignment import Assignment
from pipeline.events import (
    AttemptEnded,
    DeviceTaken,
    Preparing,
    WorkerEvent,
    WorkerLost,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.job import NodeOffer
from pipeline.ports import Clock
from pipeline.record import Cause

_POLL_SECONDS = 2.0
"""How long a poll waits for something to happen; so also how often an idle worker is heard of."""

_SUSPICIOUS_SECONDS = 3 * _POLL_SECONDS
"""After this silence it is worth a look whether the node still answers; Ray itself may take 15 s to see."""


class RayCompute:
    """Implements `pipeline.ports.Compute`. Use it from one thread, the one that may start processes."""

    def __init__(self, spec: ComputeSpec, *, clock: Clock) -> None:
        self._spec, self._clock = spec, clock
        self._local = spec.address is None
        self._stack = contextlib.ExitStack()
        self._cpus = 1
        self._started = False
        self._sizes: dict[str, int] = {}
        self._new_world()

    def _new_world(self) -> None:
        """Know nobody."""
        self._nodes = RayNodes(self._clock)
        self._crew = Crew(self._spec.job, most_delay_seconds=self._spec.most_delay_seconds)
        self._watches = RayWatches(enabled=self._is_watched(), notice_file=self._spec.notice_file)
        self._shortages = Shortages()
        self._fates = NodeFates(self._nodes, self._watches, clock=self._clock, drains=not self._local)

    def _is_watched(self) -> bool:
        """Our own Ray's only node is this machine: it is watched where something hints that it may be taken."""
        named = any(offer.provider not in {*AUTOMATIC, "static"} for offer in self._spec.offers)
        return not self._local or named or bool(self._spec.notice_file) or worth_watching(os.environ)

    def start(self) -> None:
        """Connect, or start a Ray of our own (some seconds), and ask for all workers.

        Raises:
            ClusterRefusedError: there is no such cluster, or no Ray could be started.
        """
        self._cpus = worker_cpus(self._spec)
        self._stack.enter_context(joined(self._spec))
        self._new_world()
        self._started = True
        self.offer(self._spec.offers)

    def offer(self, offers: tuple[NodeOffer, ...]) -> None:
        """Ask for what is new, and let go what is too many. Before `start` it only changes what that will ask for.

        Our own Ray keeps the size that it started with: more workers than it holds wait for ever.
        """
        self._spec = replace(self._spec, offers=offers or self._spec.offers)
        if self._started:
            wanted = demands(self._spec.offers, cpus_per_worker=self._cpus, machine_has_gpu=self._nodes.any_gpu())
            for member in self._crew.refit(wanted):
                self._send_away(member)

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """What workers reported; one call to each worker is outstanding at any time, and answered when it has news."""
        self._crew.fill()
        answers, others = self._crew.answers(self._watches.calls, timeout_seconds=timeout_seconds)
        self._watches.hear(others)
        events: list[WorkerEvent] = []
        for member, call in answers:
            events += self._answered(member, call)
        self._nodes.refresh()
        self._seat_those_who_wait()
        events += self._silent() + self._notices() + self._gone_away()
        events += self._short_of_nodes()
        occupied = {member.node_id for member in self._crew.members}
        self._watches.reap(occupied)
        return events + self._fates.gone(occupied)

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Send it, but to none that is leaving; that it did not arrive comes back as the worker's loss."""
        member = self._crew.get(worker)
        if member is not None and not member.leaving:
            member.attempts.add(assignment.attempt)
            if (member.model or self._spec.models[0]) != assignment.model:
                member.loads_for.add(assignment.attempt)
            member.model = assignment.model
            self._crew.tell(worker, "assign", assignment)

    def release(self, worker: str) -> None:
        """Send it on."""
        self._crew.tell(worker, "release")

    def leave(self, worker: str) -> None:
        """Drain the node in Ray, which then places nothing there, and let the worker go."""
        member = self._crew.get(worker)
        if member is not None and member.node_id:
            self._fates.leave(member.node_id)
            self._send_away(member)

    def kill(self, worker: str) -> None:
        """End the process; its loss comes back from the outstanding poll."""
        member = self._crew.get(worker)
        if member is not None:
            ray.kill(member.actor, no_restart=True)

    def close(self) -> None:
        """End all workers, and the Ray that is our own; a cluster stays."""
        self._crew.close()
        self._watches.close()
        self._sizes.clear()
        self._started = False
        self._stack.close()

    def _answered(self, member: Member, call: Any) -> list[WorkerEvent]:
        """One answer: what it means, and the next call."""
        method = member.calls.pop(call, "")
        if self._crew.get(member.name) is None:
            return []
        try:
            answer = ray.get(call)
        except RayError as error:
            return self._failed(member, method, error)
        member.heard_at = time.monotonic()
        if method == "hello":
            return self._greeted(member, answer)
        if method in {"begin", "poll"}:
            self._crew.call(member, "poll", _POLL_SECONDS)
        return self._heard(member, answer) if method == "poll" else []

    def _greeted(self, member: Member, hello: dict[str, Any]) -> list[WorkerEvent]:
        """A worker process is up: check its code, and ask its node who it is."""
        if said := other_code(hello, self._spec.code_version):
            return [self._refuse(member, said)]
        taken = {other.slot for other in self._crew.on(hello["node_id"])}
        member.node_id, member.hello = hello["node_id"], hello
        member.slot = next(index for index in range(len(taken) + 1) if index not in taken)
        self._watches.watch(member.node_id, member.place.demand.offer.provider)
        return []

    def _seat_those_who_wait(self) -> None:
        """Tell each new worker what it is to be, once its node said who it is, or was asked long enough."""
        for member in self._crew.members:
            if member.hello is not None and self._watches.knows(member.node_id):
                identity = self._watches.identity(member.node_id)
                resources = self._nodes.resources(member.node_id)
                post = seat(member, self._spec, identity=identity, resources=resources, sizes=self._sizes)
                member.hello, member.session, member.model = None, post.node.node_session, self._spec.models[0]
                member.heard_at = time.monotonic()
                self._fates.used(member.node_id, member.session, member.name)
                self._crew.call(member, "begin", post, worker_secrets(self._spec))

    def _heard(self, member: Member, events: list[WorkerEvent]) -> list[WorkerEvent]:
        """A worker's events, with what only the driver knows of them."""
        heard: list[WorkerEvent] = []
        for event in events:
            if isinstance(event, WorkerRefused | WorkerLost):
                self._crew.bury(member)
                return [*heard, event]
            if isinstance(event, WorkerStarting):
                member.started = True
                since_ns = self._fates.take_since_ns(member.node_id)
                heard.append(replace(event, node_since_ns=since_ns))
                continue
            if isinstance(event, WorkerReady):
                member.ready = True
                member.place.backoff.succeeded()
            elif isinstance(event, DeviceTaken):
                member.loads_for.discard(event.attempt or "")
                member.preparing = False
            elif isinstance(event, Preparing):
                member.preparing = True
            elif isinstance(event, AttemptEnded):
                member.attempts.discard(event.attempt)
                member.loads_for.discard(event.attempt)
            heard.append(event)
        return heard

    def _failed(self, member: Member, method: str, error: RayError) -> list[WorkerEvent]:
        """A call that raised: the worker is of no use, or gone.

        One that goes before it said hello was mostly on its way to a node that had just died; nobody knew it yet, so
        that is told only when it happens to the same place again.
        """
        said = refusal(error, starting=method in {"hello", "begin"})
        if said is not None:
            return [self._refuse(member, said)]
        lost = self._lose(member, summary(error), cause=cause_of(error), node_died=node_died(error))
        return [] if method == "hello" and member.place.backoff.failures == 1 else [lost]

    def _short_of_nodes(self) -> Sequence[WorkerEvent]:
        """What to say of workers that no node of the cluster can hold; our own Ray is as large as it was asked for."""
        if self._local:
            return ()
        return self._shortages.look(
            self._crew.members, self._nodes.alive, now=time.monotonic(), at_ns=self._clock.now_ns()
        )

    def _silent(self) -> list[WorkerEvent]:
        """Workers that have said nothing for too long, or whose node answers no more: they are lost."""
        lost: list[WorkerEvent] = []
        now = time.monotonic()
        for member in [member for member in self._crew.members if member.session]:
            silence = now - member.heard_at
            limit = self._spec.load_timeout_seconds if member.loading else self._spec.heartbeat_timeout_seconds
            black_hole = self._watches.silent(member.node_id, seconds=self._spec.heartbeat_timeout_seconds)
            if silence > limit or (black_hole and silence > self._spec.heartbeat_timeout_seconds):
                if black_hole:
                    self._fates.fell_silent(member.node_id)
                    self._crew.avoid(member.node_id)
                lost.append(self._lose(member, f"it said nothing for {silence:.0f} s and was killed"))
            elif silence > _SUSPICIOUS_SECONDS and self._nodes.lost(member.node_id):
                lost.append(self._lose(member, "its node does not answer"))
        return lost

    def _notices(self) -> list[WorkerEvent]:
        """Tell workers and driver alike which notices stand, and ask for other places for those that will end."""
        events: list[WorkerEvent] = []
        refit = False
        for member in [member for member in self._crew.members if member.started]:
            notice, before = self._fates.standing(member.node_id), member.notice
            if notice == before:
                continue
            member.notice = notice
            if ends(notice) or ends(before):
                self._crew.tell(member.name, "notice", notice.deadline_ns if notice and ends(notice) else None)
            events += change(member.name, before, notice, at_ns=self._clock.now_ns())
            if not self._local and member.place.ending != ends(notice) and not member.leaving:
                member.place.ending, refit = ends(notice), True
        if refit:
            self.offer(self._spec.offers)
        return events

    def _lose(
        self, member: Member, message: str, *, cause: Cause = Cause.INFRASTRUCTURE, node_died: bool = False
    ) -> WorkerLost:
        """The event of a worker's loss, which is the last that is heard of it."""
        node_seen_lost = bool(member.node_id) and self._fates.lost(member.node_id)
        taken = bool(member.node_id) and self._fates.taken(member.node_id)
        self._crew.bury(member)
        return WorkerLost(
            worker=member.name,
            at_ns=self._clock.now_ns(),
            cause=(Cause.PREEMPTED if taken else cause).value,
            message=self._fates.epitaph(member.node_id) if node_seen_lost else message,
            node_lost=node_seen_lost or node_died,
        )

    def _refuse(self, member: Member, message: str) -> WorkerRefused:
        """The event of a worker that must not render this job."""
        self._crew.bury(member)
        return WorkerRefused(worker=member.name, at_ns=self._clock.now_ns(), cause="CLUSTER_REFUSED", message=message)

    def _send_away(self, member: Member) -> None:
        """Let a worker go once it has handed back what it has."""
        member.leaving = True
        if member.attempts:
            self._crew.tell(member.name, "release")

    def _gone_away(self) -> list[WorkerEvent]:
        """End those that were to leave and have nothing left; the last of a node lets that go too."""
        gone: list[WorkerEvent] = []
        for member in [one for one in self._crew.members if one.leaving and not one.attempts]:
            self._crew.bury(member, at_once=True)
            lost = WorkerLost(
                worker=member.name,
                at_ns=self._clock.now_ns(),
                cause=Cause.HANDED_BACK.value,
                message="it was let go",
                node_lost=not self._crew.on(member.node_id),
            )
            gone.append(lost)
        return gone
