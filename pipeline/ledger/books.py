"""The books: who owned each GPU of each node at each instant, in nanoseconds, and what that cost by the node's tariff.

Every instant of a node session belongs to exactly one category, because a GPU's time line is only ever switched from
one owner to the next. What a batch owned stands apart until its fate is known: committed, or lost. Intervals are kept
as they are until the prices of their time are final; only then are they added up.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.ledger.repricing import SessionPrice
from pipeline.pricing.tariff import PriceStep, Tariff, flat
from pipeline.record import Node
from pipeline.working.device import BatchKey

MOST_PIECES = 2000
"""So many intervals of a GPU are kept at most; then the prices of the older half are taken as they are known."""


class Category(StrEnum):
    """Who owned a GPU's time."""

    COMMITTED = "committed"
    """Batches whose record is in the store; divided into rendering, duplicate and failed when the ledger is written."""
    BOOT = "boot"
    """Start-up until a worker stands on the GPU: the machine's, and the wait for another process."""
    LOAD = "load"
    """Start-up while a worker loads a model."""
    COMPILE = "compile"
    """Start-up while a worker compiles a model."""
    STARTUP = "startup"
    """Start-up of sessions whose driver did not tell these three apart."""
    LOST_TO_PREEMPTION = "lost_to_preemption"
    LOST_TO_FAILURE = "lost_to_failure"
    IDLE = "idle"
    """Waiting for work, for the store, for the tail."""


STARTUPS = (Category.BOOT, Category.LOAD, Category.COMPILE, Category.STARTUP)
"""All that is `startup` in the ledger."""

_LOST = {Category.LOST_TO_PREEMPTION, Category.LOST_TO_FAILURE}

Owner = Category | BatchKey | None
"""None: the GPU is not this job's, as after a worker was let go."""


@dataclass(slots=True)
class Span:
    """An amount of GPU time and its cost."""

    nanoseconds: int = 0
    nano_usd: int = 0

    def add(self, other: "Span") -> None:
        """Take another amount in."""
        self.nanoseconds += other.nanoseconds
        self.nano_usd += other.nano_usd

    def take(self, other: "Span") -> None:
        """Give another amount away."""
        self.nanoseconds -= other.nanoseconds
        self.nano_usd -= other.nano_usd


@dataclass(slots=True)
class Piece:
    """An interval of one GPU and who owned it."""

    started_ns: int
    ended_ns: int
    owner: Owner


@dataclass(slots=True)
class GpuLine:
    """One GPU's time line: amounts that are added up, intervals that are not yet, and the present owner."""

    since_ns: int
    """When the present owner began."""
    owner: Owner = Category.BOOT
    worker_since_ns: int | None = None
    """When the first worker of this job stood on it; None before."""
    closed: dict[Category, Span] = field(default_factory=lambda: {category: Span() for category in Category})
    absent: Span = field(default_factory=Span)
    """Time added up that was not this job's."""
    recent: list[Piece] = field(default_factory=list)
    batches: dict[BatchKey, list[Piece]] = field(default_factory=dict)
    """Those of `recent` whose batches are neither committed nor given up."""

    def append(self, piece: Piece) -> None:
        """One more interval, which begins where the last one ended."""
        if piece.ended_ns <= piece.started_ns:
            return
        self.recent.append(piece)
        if isinstance(piece.owner, tuple):
            self.batches.setdefault(piece.owner, []).append(piece)


class NodeSession:
    """One node's life inside one job.

    Args:
        node: what it is.
        started_ns: when it began to cost this job money.
        tariff: its price over time; the node's one price at all times when not given.
    """

    def __init__(self, node: Node, *, started_ns: int, tariff: Tariff | None = None) -> None:
        self.node = node
        self.tariff = tariff or flat(node.usd_per_hour, node.price_source)
        self.started_ns = started_ns
        self.launched_ns = started_ns
        """When the instance was launched, as far as that is known; never after `started_ns`."""
        self.ended_ns: int | None = None
        self.terminated_by = "running"
        self.heartbeat_ns = started_ns
        self.away = Span()
        """GPU time of a session of schema 1 that was nobody's; no part of the lifetime."""
        self.shared = Span()
        """GPU time that another job of the store pays for; no part of the lifetime, taken out of `boot`."""
        self.lost: list[BatchKey] = []
        """Batches that were given up; one of them may be committed all the same, which its record tells."""
        self.gpus = [GpuLine(started_ns) for _ in range(node.gpu_count)]

    def start(self, gpu: int, at_ns: int) -> None:
        """A worker is up on this GPU and begins to load its model."""
        self.switch(gpu, at_ns, Category.LOAD)
        line = self.gpus[gpu]
        line.worker_since_ns = line.worker_since_ns or line.since_ns

    def switch(self, gpu: int, at_ns: int, owner: Owner) -> None:
        """A GPU has a new owner from this instant on; an instant before the present owner's counts as that one."""
        line = self.gpus[gpu]
        at_ns = max(at_ns, line.since_ns)
        line.append(Piece(line.since_ns, at_ns, line.owner))
        line.owner, line.since_ns = owner, at_ns

    def relabel(self, gpu: int, at_ns: int, before: tuple[Category, ...], after: Category) -> None:
        """What a GPU without a batch does has another name from this instant on."""
        if self.gpus[gpu].owner in before:
            self.switch(gpu, at_ns, after)

    def has_device(self, gpu: int, attempt: str) -> bool:
        """Whether a batch of this attempt owns the GPU."""
        owner = self.gpus[gpu].owner
        return isinstance(owner, tuple) and owner[0] == attempt

    def settle(self, gpu: int, key: BatchKey, category: Category) -> None:
        """The fate of a batch is known: its time goes to this category. Unknown batches change nothing."""
        pieces = self.gpus[gpu].batches.pop(key, ())
        for piece in pieces:
            piece.owner = category
        if pieces and category in _LOST:
            self.lost.append(key)

    def settle_attempt(self, gpu: int, attempt: str, category: Category) -> None:
        """All open batches of an attempt go to this category."""
        for key in [key for key in self.gpus[gpu].batches if key[0] == attempt]:
            self.settle(gpu, key, category)

    def lose(self, gpu: int, at_ns: int, category: Category, *, then: Owner) -> None:
        """The worker on this GPU is gone: what it had not committed is lost."""
        line = self.gpus[gpu]
        self.switch(gpu, at_ns, then)
        for key in list(line.batches):
            self.settle(gpu, key, category)

    def end(self, at_ns: int, terminated_by: str, category: Category) -> None:
        """The node is gone, or released; nothing changes afterwards but the crediting of late records."""
        if self.ended_ns is not None:
            return
        at_ns = max([at_ns, *(line.since_ns for line in self.gpus)])
        for gpu in range(len(self.gpus)):
            self.lose(gpu, at_ns, category, then=None)
        self.ended_ns = self.heartbeat_ns = at_ns
        self.terminated_by = terminated_by

    def outlived(self, seen_ns: int) -> bool:
        """Whether a node that was said to have ended was at work later; if so, its session ends then."""
        if self.ended_ns is None or seen_ns <= self.ended_ns:
            return False
        preempted = self.terminated_by == "reclaimed"
        category = Category.LOST_TO_PREEMPTION if preempted else Category.LOST_TO_FAILURE
        for line in self.gpus:
            line.append(Piece(self.ended_ns, seen_ns, category))
            line.since_ns = seen_ns
        self.ended_ns = self.heartbeat_ns = seen_ns
        return True

    def resume(self, at_ns: int) -> None:
        """Another driver goes on with a node that still lives: the time in between is lost to the driver's death."""
        for gpu, line in enumerate(self.gpus):
            if line.owner is None or line.worker_since_ns is None:
                continue
            if isinstance(line.owner, Category):
                line.owner = Category.LOST_TO_FAILURE
            self.lose(gpu, at_ns, Category.LOST_TO_FAILURE, then=Category.BOOT)

    def reopen(self, at_ns: int) -> None:
        """A node that was let go is there again: its session goes on, and the time in between is nobody's."""
        if self.ended_ns is None:
            return
        at_ns = max(at_ns, self.ended_ns)
        for gpu, line in enumerate(self.gpus):
            self.switch(gpu, at_ns, Category.BOOT)
            line.worker_since_ns = line.worker_since_ns or at_ns
        self.ended_ns, self.heartbeat_ns, self.terminated_by = None, at_ns, "running"

    def reprice(self, steps: Iterable[PriceStep], *, final_until_ns: int) -> None:
        """Prices became known; what is final already stays. Raises: ValueError: no step at all."""
        self.tariff = self.tariff.revised(steps, final_until_ns=final_until_ns)

    def fold(self) -> None:
        """Add up the intervals whose prices are final."""
        for line in self.gpus:
            if len(line.recent) > MOST_PIECES:
                self.tariff = self.tariff.final(line.recent[MOST_PIECES // 2].ended_ns)
        for gpu, line in enumerate(self.gpus):
            kept: list[Piece] = []
            for piece in line.recent:
                last = kept[-1] if kept else None
                if isinstance(piece.owner, tuple):
                    kept.append(piece)
                elif piece.ended_ns <= self.tariff.final_until_ns:
                    total = line.absent if piece.owner is None else line.closed[piece.owner]
                    total.add(self.span(gpu, piece.started_ns, piece.ended_ns))
                elif last is not None and (last.owner, last.ended_ns) == (piece.owner, piece.started_ns):
                    last.ended_ns = piece.ended_ns
                else:
                    kept.append(piece)
            line.recent = kept

    def total(self, category: Category, now_ns: int | None = None) -> Span:
        """What all GPUs spent in a category, so far closed; and up to now where it is the present owner."""
        total = Span()
        for gpu, line in enumerate(self.gpus):
            total.add(line.closed[category])
            for piece in line.recent:
                if piece.owner is category:
                    total.add(self.span(gpu, piece.started_ns, piece.ended_ns))
            if now_ns is not None and line.owner is category and now_ns > line.since_ns:
                total.add(self.span(gpu, line.since_ns, now_ns))
        if category is Category.BOOT:
            total.take(self.shared)
        return total

    def lifetime(self, now_ns: int) -> Span:
        """GPUs x lifetime, and its cost, without what was not this job's."""
        until_ns = self.until_ns(now_ns)
        total = Span()
        total.take(self.away)
        total.take(self.shared)
        for gpu, line in enumerate(self.gpus):
            total.add(self.span(gpu, self.started_ns, until_ns))
            total.take(line.absent)
            for piece in line.recent:
                if piece.owner is None:
                    total.take(self.span(gpu, piece.started_ns, piece.ended_ns))
            if line.owner is None:
                total.take(self.span(gpu, line.since_ns, until_ns))
        return total

    def until_ns(self, now_ns: int) -> int:
        """The end, or now for a session that runs; never before what is known of it already."""
        if self.ended_ns is not None:
            return self.ended_ns
        return max([now_ns, self.heartbeat_ns, *(line.since_ns for line in self.gpus)])

    @property
    def price(self) -> SessionPrice:
        """What its time costs, as it is known now; never changes."""
        return SessionPrice(tariff=self.tariff, shares=self.node.shares)

    def span(self, gpu: int, started_ns: int, ended_ns: int) -> Span:
        """An interval of one GPU, by the tariff as it is known now."""
        cost = self.tariff.cost(gpu_index=gpu, shares=self.node.shares, started_ns=started_ns, ended_ns=ended_ns)
        return Span(ended_ns - started_ns, cost)


def total_nano_usd(sessions: Iterable[NodeSession], now_ns: int) -> int:
    """Accrued cost of some sessions."""
    return sum(session.lifetime(now_ns).nano_usd for session in sessions)
