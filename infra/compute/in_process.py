"""Workers as threads of this process: for tests, for debugging, and where Ray would be too much."""

import itertools
import os
import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from infra.compute.assemble import Post, assemble_worker
from infra.compute.backoff import Backoff
from infra.compute.notices import change, ends, standing
from infra.compute.spec import ComputeSpec
from infra.providers.reports import Notice
from infra.providers.sources import AUTOMATIC, makers, sources_of, worth_watching
from infra.providers.static import NOTICE_FILE
from infra.providers.table import Sighting, identify
from infra.providers.watch import NodeWatch
from pipeline.assignment import Assignment
from pipeline.errors import ClusterRefusedError
from pipeline.events import AttemptEnded, WorkerEvent, WorkerLost, WorkerReady, WorkerRefused, WorkerStarting
from pipeline.job import NodeOffer
from pipeline.ports import Clock
from pipeline.record import Cause
from pipeline.working.worker import Worker

_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seat:
    """Where a worker stands."""

    offer: int
    """Number of the offer that its node is of."""
    node: int
    """Number of the node; this process is number 0 of the first offer that is for all the time."""
    gpu_index: int


@dataclass(slots=True)
class _Member:
    """One worker and its threads."""

    name: str
    seat: _Seat
    worker: Worker
    backoff: Backoff
    alive: bool = True
    attempts: set[str] = field(default_factory=set)
    """What it was assigned and has not ended."""
    started: bool = False
    """Whether the driver knows of it."""
    notice: Notice | None = None
    """The notice that it, and the driver, know of."""
    leaving: bool = False
    """It takes nothing more, and is ended when it has nothing left."""


class InProcessCompute:
    """Implements `pipeline.ports.Compute` with threads on the CPU. `kill` abandons a thread, as nothing can end one."""

    def __init__(self, spec: ComputeSpec, *, clock: Clock) -> None:
        self._spec, self._clock = spec, clock
        self._token = ""
        self._count = self._gpus = 0
        self._started = False
        self._watch: NodeWatch | None = None
        self._members: dict[str, _Member] = {}
        self._played: dict[tuple[int, int], int] = {}
        self._due: list[tuple[int, _Seat, Backoff]] = []
        self._events: list[WorkerEvent] = []
        self._news = threading.Condition()

    @property
    def _first(self) -> int:
        """The number of the offer that this process meets all the time."""
        offers = self._spec.offers
        return next((number for number, offer in enumerate(offers) if not offer.only_for_deadline), 0)

    @property
    def _offer(self) -> NodeOffer:
        """That offer."""
        return self._spec.offers[self._first]

    def _seats(self) -> list[_Seat]:
        """Where workers should stand: on this machine, and on nodes that a deadline takes, which are played by it."""
        here = range(min(self._gpus, self._offer.gpus))
        seats = [_Seat(offer=self._first, node=0, gpu_index=gpu_index) for gpu_index in here]
        for number, offer in enumerate(self._spec.offers):
            if offer.only_for_deadline and number != self._first:
                nodes = itertools.product(range(offer.max), range(offer.gpus))
                seats += [_Seat(offer=number, node=node, gpu_index=gpu_index) for node, gpu_index in nodes]
        return seats

    def start(self) -> None:
        """Start the threads of the first offer.

        Raises:
            ClusterRefusedError: it promises GPUs; threads of one process would share the first one.
        """
        met = [self._offer, *(offer for offer in self._spec.offers if offer.only_for_deadline)]
        if any(offer.gpu not in {"", "cpu"} for offer in met):
            raise ClusterRefusedError("workers in this process run on the CPU alone: leave out `address: in-process`")
        self._started, self._gpus, self._token = True, self._offer.gpus, secrets.token_hex(4)
        self._start_watch()
        self.offer(self._spec.offers)

    def offer(self, offers: tuple[NodeOffer, ...]) -> None:
        """As many threads as the first offer asks for, but no more than at the start: that is what this node holds.

        Offers for the deadline alone are met too, one thread for each worker.
        """
        self._spec = replace(self._spec, offers=offers or self._spec.offers)
        if not self._started:
            return
        wanted = self._seats()
        self._due = [due for due in self._due if due[1] in wanted]
        for member in self._members.values():
            if member.seat not in wanted:
                self._send_away(member)
        held = {member.seat for member in self._members.values()} | {due[1] for due in self._due}
        for seat in wanted:
            if seat not in held:
                self._launch(seat, Backoff(most_seconds=self._spec.most_delay_seconds))

    def leave(self, worker: str) -> None:
        """This process is the only node there is, so the worker is ended and another one started here."""
        if worker in self._members:
            self._send_away(self._members[worker])

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """What the threads reported."""
        self._replace()
        self._hear_notices()
        with self._news:
            self._news.wait_for(lambda: bool(self._events), timeout_seconds)
            taken, self._events = self._events, []
        for event in taken:
            member = self._members.get(event.worker)
            if member is not None and isinstance(event, WorkerStarting):
                member.started = True
            elif member is not None and isinstance(event, WorkerReady):
                member.backoff.succeeded()
            elif member is not None and isinstance(event, AttemptEnded):
                member.attempts.discard(event.attempt)
                if member.leaving:
                    self._send_away(member)
            elif member is not None and isinstance(event, WorkerRefused | WorkerLost):
                self._bury(member)
        return taken

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Into the worker's inbox; one that is leaving takes nothing more, and its loss brings it back."""
        member = self._members.get(worker)
        if member is not None and not member.leaving:
            member.attempts.add(assignment.attempt)
            member.worker.assign(assignment)

    def release(self, worker: str) -> None:
        """To the worker."""
        if worker in self._members:
            self._members[worker].worker.release()

    def kill(self, worker: str) -> None:
        """Hear no more of the worker; its thread ends after the batch in flight, and what it still commits counts."""
        if worker in self._members:
            self._abandon(self._members[worker], "it was killed")

    def close(self) -> None:
        """Abandon all workers, at once."""
        for member in self._members.values():
            member.alive = False
            member.worker.close()
        self._members.clear()
        self._due.clear()
        self._events.clear()
        self._started = False
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _start_watch(self) -> None:
        """Watch over this machine where something hints that it may be taken; who it is stays what the offer says."""
        environ = dict(os.environ)
        if self._spec.notice_file:
            environ.setdefault(NOTICE_FILE, self._spec.notice_file)
        named = self._offer.provider not in {*AUTOMATIC, "static"}
        if named or worth_watching(environ):
            sources = sources_of(self._offer.provider, environ, now_ns=self._clock.now_ns, node_id=self._token)
            self._watch = NodeWatch(*sources, environ=environ, expected=makers())
            self._watch.start()

    def _hear_notices(self) -> None:
        """Tell workers and driver alike which notice stands for this machine."""
        told = self._watch.report(0).notices if self._watch is not None else ()
        notice = standing(told, now_ns=self._clock.now_ns())
        for member in self._members.values():
            if member.notice == notice or not member.started:
                continue
            before, member.notice = member.notice, notice
            if ends(notice) or ends(before):
                member.worker.notice(notice.deadline_ns if notice and ends(notice) else None)
            with self._news:
                self._events += change(member.name, before, notice, at_ns=self._clock.now_ns())

    def _send_away(self, member: _Member) -> None:
        """End a worker now if it has nothing left, else once it has handed that back."""
        member.leaving = True
        if member.attempts:
            member.worker.release()
        else:
            self._abandon(member, "it was let go", cause=Cause.HANDED_BACK)

    def _launch(self, seat: _Seat, backoff: Backoff) -> None:
        """One more worker, with a thread that works and one that listens to it."""
        spec, offer = self._spec, self._spec.offers[seat.offer]
        here = seat.offer == self._first
        threads = spec.cpus_per_worker or max(1, len(os.sched_getaffinity(0)) // self._gpus)
        sighting = Sighting(
            job=spec.job,
            node_id=self._node_id(seat),
            labels={},
            gpu="cpu",
            gpu_count=self._gpus if here else offer.gpus,
        )
        name = f"{spec.job}-{self._token}-{self._count}"
        self._count += 1
        post = Post(
            spec=spec,
            name=name,
            node=identify(offer, sighting),
            gpu_index=seat.gpu_index,
            device="cpu",
            threads=spec.threads or threads,
        )
        worker = assemble_worker(post, clock=self._clock)
        member = _Member(name, seat, worker, backoff)
        self._members[name] = member
        threading.Thread(target=self._work, args=(member,), name=f"work-{name}", daemon=True).start()
        threading.Thread(target=self._listen, args=(member,), name=f"listen-{name}", daemon=True).start()

    def _node_id(self, seat: _Seat) -> str:
        """Of the node of a seat; a node that is played has another one each time it comes."""
        if seat.offer == self._first:
            return f"{socket.gethostname()}-{os.getpid()}-{self._token}"
        node = seat.offer, seat.node
        if node not in {(one.seat.offer, one.seat.node) for one in self._members.values() if one.alive}:
            self._played[node] = self._count
        return f"{self._token}n{self._played[node]}"  # its session is named after the first twelve letters

    def _work(self, member: _Member) -> None:
        """The worker's life."""
        try:
            member.worker.run()
        except Exception as error:  # noqa: BLE001 - a thread that dies in silence would look like one that works
            self._abandon(member, f"{type(error).__name__}: {error}")

    def _listen(self, member: _Member) -> None:
        """Take the worker's events until it is gone."""
        while member.alive:
            events = member.worker.poll(_POLL_SECONDS)
            with self._news:
                if member.alive:
                    self._events.extend(events)
                    self._news.notify_all()
                    member.alive = not any(isinstance(event, WorkerRefused) for event in events)

    def _abandon(self, member: _Member, message: str, *, cause: Cause = Cause.INFRASTRUCTURE) -> None:
        """Tell that the worker is lost, as the last that is heard of it."""
        lost = WorkerLost(
            worker=member.name,
            at_ns=self._clock.now_ns(),
            cause=cause.value,
            message=message,
            node_lost=cause is Cause.HANDED_BACK and self._is_last(member),
        )
        with self._news:
            if member.alive:
                member.alive = False
                self._events.append(lost)
                self._news.notify_all()
        member.worker.close()

    def _is_last(self, member: _Member) -> bool:
        """Whether a node that is played by this process goes with this worker."""
        seat, others = member.seat, (one.seat for one in self._members.values() if one.alive and one is not member)
        return seat.offer != self._first and (seat.offer, seat.node) not in {(one.offer, one.node) for one in others}

    def _bury(self, member: _Member) -> None:
        """Forget a worker, and plan the next one in its place."""
        member.worker.close()
        del self._members[member.name]
        if member.seat in self._seats():
            delay_seconds = 0.0 if member.leaving else member.backoff.failed()
            self._due.append((self._clock.now_ns() + round(delay_seconds * 1e9), member.seat, member.backoff))

    def _replace(self) -> None:
        """Start what is due."""
        now_ns = self._clock.now_ns()
        for due in [due for due in self._due if due[0] <= now_ns]:
            self._due.remove(due)
            self._launch(due[1], due[2])
