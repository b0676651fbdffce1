"""Who is there to work: workers from their first word to their loss, with the notices seen for their nodes."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline.driving.task_queue import Piece
from pipeline.events import (
    Bottleneck,
    DeviceWaits,
    NoticeCancelled,
    NoticeKind,
    NoticeSeen,
    Preparing,
    StoreSilent,
    WorkerStarting,
)
from pipeline.record import Node

_LONGEST_TICK_SECONDS = 1.0
"""A driver that was held up itself for longer has not listened all that time, so nobody was silent for all of it."""


@dataclass(slots=True)
class Member:
    """One worker."""

    node: Node | None = None
    """None when it never said where it stands."""
    ready: bool = False
    notice: NoticeKind | None = None
    """Seen for its node and not cancelled."""
    leaving: bool = False
    """It gets nothing more, and its node is left when it has finished what it has."""
    left: bool = False
    """The compute was told to leave its node."""
    condemned: str = ""
    """Why its process is to be replaced when it has nothing more; empty for nearly all."""
    condemned_ns: int = 0
    silent_seconds: float = 0.0
    """Since it was last heard of, counted while the driver listened."""
    store_silent: str = ""
    """What the store said when it did not answer this worker; empty while it does."""
    store_silent_ns: int = 0
    """Since when."""
    preparing: bool = False
    """It loads another model or compiles one, during which it may say nothing."""
    waits_for: Bottleneck | None = None
    """What its device waits for, with pictures enough; None: it does not."""
    refused_models: set[str] = field(default_factory=set)
    """Names of the models that it cannot load."""


class Crew:
    """All workers of one driver."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._ended: set[str] = set()
        self._replacing = 0

    def __contains__(self, worker: str) -> bool:
        return worker in self._members

    def __getitem__(self, worker: str) -> Member:
        return self._members[worker]

    @property
    def members(self) -> tuple[tuple[str, Member], ...]:
        """All there are, with their names."""
        return tuple(self._members.items())

    @property
    def ready(self) -> tuple[str, ...]:
        """Those that have loaded a model and whose node stays."""
        return tuple(name for name, member in self._members.items() if member.ready and member.notice != "reclaim")

    @property
    def starting(self) -> int:
        """How many are loading."""
        return sum(not member.ready for member in self._members.values())

    @property
    def usable(self) -> tuple[str, ...]:
        """Those that may be given work."""
        return tuple(name for name in self.ready if not (self[name].leaving or self[name].condemned))

    @property
    def reclaimed_nodes(self) -> int:
        """Nodes of which the cloud has said that it takes them."""
        noticed = [member for member in self._members.values() if member.notice == "reclaim"]
        return len({member.node.node_session if member.node else id(member) for member in noticed})

    def node(self, worker: str) -> Node | None:
        """Where a worker stands; None when nobody knows."""
        member = self._members.get(worker)
        return member.node if member else None

    def states(self) -> Counter[tuple[str, str, str]]:
        """How many workers there are by state, node type and market: starting, ready, waiting, leaving."""
        found: Counter[tuple[str, str, str]] = Counter()
        for member in self._members.values():
            if member.node is not None:
                found[_state(member), member.node.node_type, member.node.market] += 1
        return found

    def join(self, event: WorkerStarting) -> None:
        """A worker's process is up."""
        self._members[event.worker] = Member(node=event.node)

    def make_ready(self, worker: str) -> None:
        """It has loaded its model."""
        self._members.setdefault(worker, Member()).ready = True
        self._replacing = 0

    def gone(self, worker: str) -> Member | None:
        """It is lost; gives what was known of it, None if that was nothing."""
        self._ended.discard(worker)
        return self._members.pop(worker, None)

    def end(self, worker: str) -> Member:
        """The driver ends it itself; what the compute says of its loss later is no news."""
        self._ended.add(worker)
        return self._members.pop(worker)

    def ended(self, worker: str) -> bool:
        """Whether the driver ended it, and nothing was heard of that yet."""
        return worker in self._ended

    def notice(self, event: NoticeSeen) -> Member | None:
        """A notice for its node; a recommendation does not undo an announcement."""
        member = self._members.get(event.worker)
        if member is not None and member.notice != "reclaim":
            member.notice = event.kind
        return member

    def told(self, event: NoticeCancelled | StoreSilent | DeviceWaits | Preparing) -> None:
        """The node stays; the store does not answer a worker, or does again; a device waits, or not; it is prepared."""
        member = self._members.get(event.worker)
        if member is None:
            return
        if isinstance(event, NoticeCancelled):
            member.notice = None
            return
        if isinstance(event, Preparing):
            member.preparing = True
            return
        if isinstance(event, DeviceWaits):
            member.waits_for = event.waits_for
            return
        if not member.store_silent:
            member.store_silent_ns = event.at_ns
        member.store_silent = event.message

    def device_taken(self, worker: str) -> None:
        """Its device is ready for batches."""
        if worker in self._members:
            self._members[worker].preparing = False

    def committed(self, worker: str) -> None:
        """It has put a record, so the store answers it."""
        if worker in self._members:
            self._members[worker].store_silent = ""

    def heard(self, worker: str) -> None:
        """It lives."""
        if worker in self._members:
            self._members[worker].silent_seconds = 0.0

    @property
    def cut_off(self) -> tuple[Member, ...]:
        """Ready workers that the store does not answer."""
        return tuple(self[name] for name in self.ready if self[name].store_silent)

    def waiting_for(self, stage: Bottleneck) -> list[str]:
        """Ready workers whose device waits for this stage, but those that the store does not answer at all."""
        members = ((name, self[name]) for name in self.ready)
        return [name for name, member in members if member.waits_for == stage and not member.store_silent]

    def outage_seconds(self, now_ns: int) -> float:
        """For how long the store has answered no ready worker; 0 while it answers one, or there is none."""
        members = self.cut_off
        if not members or len(members) < len(self.ready):
            return 0.0
        return (now_ns - max(member.store_silent_ns for member in members)) / 1e9

    def listened(self, seconds: float) -> None:
        """The driver has listened for so long."""
        for member in self._members.values():
            member.silent_seconds += min(seconds, _LONGEST_TICK_SECONDS)

    def silent(self, limit_seconds: Callable[[str], float]) -> list[str]:
        """Ready workers that have said nothing for longer than each may."""
        ready = ((name, member) for name, member in self._members.items() if member.ready)
        return [name for name, member in ready if member.silent_seconds > limit_seconds(name)]

    def node_types(self) -> frozenset[str]:
        """Of all workers there are."""
        return frozenset(member.node.node_type for member in self._members.values() if member.node)

    def may_have(self, worker: str, piece: Piece) -> bool:
        """Whether this worker may be given this piece."""
        node = self._members[worker].node
        return worker not in piece.avoid and (node is None or node.node_type not in piece.avoid_types)

    def condemn(self, worker: str, why: str, now_ns: int) -> None:
        """Its process is to be replaced."""
        member = self._members.get(worker)
        if member is not None and not member.condemned:
            member.condemned, member.condemned_ns = why, now_ns

    def condemned(self) -> Iterator[tuple[str, Member]]:
        """Those whose process is to be replaced."""
        yield from [(name, member) for name, member in self._members.items() if member.condemned]

    def to_replace(self, piece: Piece, *, idle: Callable[[str], bool]) -> str | None:
        """An idle worker to be replaced, as nobody who is there can have this piece; None while there is hope."""
        if self.starting or self._replacing or any(self.may_have(name, piece) for name in self.usable):
            return None
        for name in self.usable:
            node = self._members[name].node
            if idle(name) and (node is None or node.node_type not in piece.avoid_types):
                self._replacing += 1
                return name
        return None


def _state(member: Member) -> str:
    """What a worker is doing, in one word."""
    if member.notice == "reclaim" or member.leaving or member.condemned:
        return "leaving"
    if not member.ready:
        return "starting"
    return "waiting" if member.store_silent or member.waits_for else "ready"
