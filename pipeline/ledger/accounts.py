"""All node sessions of one driver: fed by the workers' events, persisted with the heartbeat."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType

from pipeline.causes import PREEMPTION
from pipeline.events import (
    AttemptEnded,
    BatchCommitted,
    DeviceTaken,
    Heartbeat,
    NodeGone,
    NoticeCancelled,
    NoticeSeen,
    Preparing,
    WorkerEvent,
    WorkerLost,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.layout import job_folder, node_key
from pipeline.ledger.books import STARTUPS, Category, NodeSession, total_nano_usd
from pipeline.ledger.repricing import SessionPrice
from pipeline.ledger.session_file import session_from_json, session_to_json
from pipeline.ports import Store
from pipeline.pricing.money import usd
from pipeline.pricing.pricing import Pricing
from pipeline.pricing.storage_cost import CountedCalls
from pipeline.record import Cause, Node

_ENDED_BY: Mapping[str, str] = MappingProxyType({Cause.PREEMPTED: "reclaimed", Cause.HANDED_BACK: "released"})
"""What ended a node's session, by the cause that its last worker was lost for."""


class Accounts:
    """The books of a job's nodes.

    Args:
        job: job id.
        fence: number of this driver.
        earlier: sessions as earlier drivers left them, by name.
        last_seen_ns: when the last record of each session left its device.
        since_ns: when this driver began: a node that was there before costs this job nothing until then.
        pricing: prices that change; each node has one price at all times when not given.
    """

    def __init__(
        self,
        *,
        job: str,
        fence: int,
        earlier: Mapping[str, NodeSession],
        last_seen_ns: Mapping[str, int],
        since_ns: int = 0,
        pricing: Pricing | None = None,
    ) -> None:
        self._job = job
        self._fence = fence
        self._since_ns = since_ns
        self._pricing = pricing
        self.sessions = dict(earlier)
        for name, session in self.sessions.items():
            session.heartbeat_ns = max(session.heartbeat_ns, last_seen_ns.get(name, 0))
        self._dormant = {name for name, session in earlier.items() if session.ended_ns is None}
        self._places: dict[str, tuple[NodeSession, int]] = {}
        self._noticed: set[str] = set()
        self._fates: dict[tuple[str, str], Category] = {}
        self._unwritten: set[str] = set()
        self.calls = CountedCalls()
        """What the workers asked of the store."""
        self.begun: set[str] = set()
        """Sessions that began, or began again, and of which the store does not know it yet."""

    def hear(self, event: WorkerEvent) -> None:
        """Take one event into the books."""
        if isinstance(event, WorkerStarting | NodeGone):
            self._starting(event) if isinstance(event, WorkerStarting) else self._node_gone(event)
            return
        session, gpu = self._places.get(event.worker, (None, 0))
        if session is None or session.ended_ns is not None:
            return
        self._unwritten.add(session.node.node_session)
        match event:
            case DeviceTaken() | BatchCommitted() | AttemptEnded():
                self._worked(event, session, gpu)
            case WorkerReady():
                session.switch(gpu, event.at_ns, self._without_batch(event.worker))
            case Preparing():
                noticed = event.worker in self._noticed
                session.switch(gpu, event.at_ns, Category.LOST_TO_PREEMPTION if noticed else Category(event.what))
            case NoticeSeen(kind="reclaim"):
                self._noticed.add(event.worker)
                session.relabel(gpu, event.at_ns, (Category.IDLE, *STARTUPS), Category.LOST_TO_PREEMPTION)
            case NoticeCancelled():
                self._noticed.discard(event.worker)
                session.relabel(gpu, event.at_ns, (Category.LOST_TO_PREEMPTION,), Category.IDLE)
            case WorkerLost() | WorkerRefused():
                self._gone(event, session, gpu)
            case Heartbeat():
                self.calls.told(event.worker, event.facts)
                session.heartbeat_ns = max(session.heartbeat_ns, event.at_ns)

    def _worked(self, event: DeviceTaken | BatchCommitted | AttemptEnded, session: NodeSession, gpu: int) -> None:
        """A worker reports of its work."""
        match event:
            case DeviceTaken(attempt=None):
                session.switch(gpu, event.at_ns, self._without_batch(event.worker))
            case DeviceTaken():
                session.switch(gpu, event.at_ns, (str(event.attempt), event.sequence))
            case BatchCommitted():
                session.settle(gpu, (event.record.attempt, event.record.sequence), Category.COMMITTED)
            case AttemptEnded():
                category = _lost(event.cause)
                session.settle_attempt(gpu, event.attempt, category)
                if session.has_device(gpu, event.attempt):  # handed back with a batch that may still be committed
                    self._fates[event.worker, event.attempt] = category

    def _starting(self, event: WorkerStarting) -> None:
        """A worker is up: its node's session begins, or goes on."""
        name = event.node.node_session
        session = self.sessions.get(name)
        if session is None:
            since_ns = min(event.at_ns, event.node_since_ns or event.at_ns)
            started_ns = min(event.at_ns, max(since_ns, self._since_ns))
            tariff = None if self._pricing is None else self._pricing.first_tariff(event.node)
            session = NodeSession(event.node, started_ns=started_ns, tariff=tariff)
            session.launched_ns = since_ns
            self.sessions[name] = session
            self.begun.add(name)
        elif session.ended_ns is not None:
            session.reopen(event.at_ns)
            self.begun.add(name)
        elif name in self._dormant:
            session.resume(event.at_ns)
        self._dormant.discard(name)
        if session.gpus[event.gpu_index].owner is None:  # it was nobody's, as far as the store knows
            self.begun.add(name)
        session.start(event.gpu_index, event.at_ns)
        self._places[event.worker] = (session, event.gpu_index)
        self._unwritten.add(name)

    def _gone(self, event: WorkerLost | WorkerRefused, session: NodeSession, gpu: int) -> None:
        """A worker is gone, perhaps with its node; what it had not committed is lost."""
        del self._places[event.worker]
        self._settle_fates(event.worker, session, gpu)
        self._noticed.discard(event.worker)
        category, node_lost = _lost(event.cause), isinstance(event, WorkerLost) and event.node_lost
        if node_lost or (event.cause == Cause.PREEMPTED and not self._lives(session)):
            session.end(max(event.at_ns, session.heartbeat_ns), _ENDED_BY.get(event.cause, "lost"), category)
        elif event.cause == Cause.PREEMPTED:
            session.lose(gpu, event.at_ns, category, then=Category.LOST_TO_PREEMPTION)
        else:
            let_go = event.cause == Cause.HANDED_BACK
            session.lose(gpu, event.at_ns, category, then=None if let_go else Category.BOOT)

    def _lives(self, session: NodeSession) -> bool:
        """Whether a node has any worker."""
        return any(other is session for other, _ in self._places.values())

    def _without_batch(self, worker: str) -> Category:
        """What a GPU does that has no batch: after a reclaim was announced it is the cloud's doing."""
        return Category.LOST_TO_PREEMPTION if worker in self._noticed else Category.IDLE

    def _settle_fates(self, worker: str, session: NodeSession, gpu: int) -> None:
        """Batches that were handed back while they had the device, and that nobody committed, are lost."""
        for key in [key for key in self._fates if key[0] == worker]:
            session.settle_attempt(gpu, key[1], self._fates.pop(key))

    def _node_gone(self, event: NodeGone) -> None:
        """A node died after its last worker did."""
        session = self.sessions.get(event.node_session)
        if session is not None and session.ended_ns is None:
            session.end(event.at_ns, _ENDED_BY.get(event.cause, "lost"), _lost(event.cause))
            self._unwritten.add(event.node_session)

    def close(self, at_ns: int) -> None:
        """The driver lets all nodes go; sessions that no worker came back to ended when they were last heard of."""
        for worker, (session, gpu) in self._places.items():
            self._settle_fates(worker, session, gpu)
        for name, session in self.sessions.items():
            if session.ended_ns is not None:
                continue
            self._unwritten.add(name)
            if name in self._dormant:
                session.end(session.heartbeat_ns, "lost", Category.LOST_TO_FAILURE)
            else:
                session.end(max(at_ns, session.heartbeat_ns), "released", Category.LOST_TO_FAILURE)
        if self._pricing is not None:
            self._unwritten |= self._pricing.refresh_now(self.sessions, at_ns)
        for session in self.sessions.values():
            session.tariff = session.tariff.final(session.until_ns(at_ns))

    def see(self, last_seen_ns: Mapping[str, int]) -> None:
        """Records show until when nodes worked at least, also after they were given up.

        Args:
            last_seen_ns: by node session: when its last batch left the device.
        """
        for name, seen_ns in last_seen_ns.items():
            if (session := self.sessions.get(name)) is not None and session.outlived(seen_ns):
                self._unwritten.add(name)

    def prices(self) -> dict[str, SessionPrice]:
        """What the time of each session costs, as it is known now."""
        return {name: session.price for name, session in self.sessions.items()}

    def accrued_usd(self, now_ns: int) -> Decimal:
        """Cost of all sessions so far."""
        living = [session for name, session in self.sessions.items() if name not in self._dormant]
        silent = [self.sessions[name] for name in self._dormant]
        nano = total_nano_usd(living, now_ns)
        return usd(nano + sum(session.lifetime(session.heartbeat_ns).nano_usd for session in silent))

    def spent(self, now_ns: int) -> Iterator[tuple[Node, int]]:
        """Every session's node, and its cost so far in nano-dollars."""
        for name, session in self.sessions.items():
            until_ns = session.heartbeat_ns if name in self._dormant else now_ns
            yield session.node, session.lifetime(until_ns).nano_usd

    def usd_per_second(self, now_ns: int) -> Decimal:
        """What the nodes that are held cost now."""
        living = [one for name, one in self.sessions.items() if name not in self._dormant and one.ended_ns is None]
        hourly = (one.tariff.at(now_ns).usd_per_hour * one.node.gpu_count / one.node.shares for one in living)
        return sum(hourly, Decimal(0)) / 3600

    def write(self, store: Store, at_ns: int) -> None:
        """Heartbeat: persist every session that changed, with the open intervals of its attempts."""
        if self._pricing is not None:
            self._unwritten |= self._pricing.refresh(self.sessions, at_ns)
        for name in sorted(self._unwritten):
            session = self.sessions[name]
            if session.ended_ns is None:
                session.heartbeat_ns = max(session.heartbeat_ns, at_ns)
            session.fold()
            store.put(node_key(self._job, name, self._fence), session_to_json(session))
        self._unwritten.clear()
        self.begun.clear()


def _lost(cause: str) -> Category:
    """Whose time it was that an attempt or a worker ended without a commit."""
    return Category.LOST_TO_PREEMPTION if cause in PREEMPTION else Category.LOST_TO_FAILURE


def read_sessions(store: Store, job: str) -> dict[str, NodeSession]:
    """All node sessions of a job as the last driver of each left them."""
    latest: dict[str, str] = {}
    for info in store.list(f"{job_folder(job)}nodes/"):
        latest[info.key.split("/")[3]] = info.key  # keys come in order, so the highest fence is the last
    return {name: session_from_json(store.get(key)) for name, key in latest.items()}
