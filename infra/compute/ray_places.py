"""The places for workers that a job's offers come to, who holds each, and what becomes of them when offers change."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from infra.compute.backoff import Backoff
from infra.compute.ray_demand import Demand
from infra.providers.reports import Notice
from pipeline.model import Model
from pipeline.record import Node


@dataclass(slots=True, eq=False)
class Place:
    """One worker's place: who holds it now, and when the next one is due."""

    demand: Demand
    backoff: Backoff
    due_at: float | None = 0.0
    """Monotonic seconds; None while a worker holds the place."""
    ending: bool = False
    """Its worker's node will be taken: the place ends with it, and another one counts instead."""


@dataclass(slots=True, eq=False)
class Member:
    """One worker, from being asked for to being lost."""

    name: str
    place: Place
    actor: Any
    node_id: str = ""
    """Empty until it said hello."""
    slot: int = 0
    """Which of our workers on its node it is, from 0."""
    session: str = ""
    """Name of the node session that it stands on; empty until it was told."""
    hello: dict[str, Any] | None = None
    """What it said first, as long as it waits for its node to say who it is."""
    ready: bool = False
    heard_at: float = 0.0
    """Monotonic seconds."""
    calls: dict[Any, str] = field(default_factory=dict)
    """Outstanding calls: reference -> method."""
    attempts: set[str] = field(default_factory=set)
    """What it was assigned and has not ended."""
    model: Model | None = None
    """The one it was assigned last."""
    loads_for: set[str] = field(default_factory=set)
    """Attempts for which it has to load another model, until its device has a batch of them."""
    preparing: bool = False
    """It said that it loads a model or compiles one."""
    started: bool = False
    """Whether the driver knows of it."""
    notice: Notice | None = None
    """The notice that it, and the driver, know of."""
    leaving: bool = False
    """It takes nothing more, and is ended when it has nothing left."""

    @property
    def loading(self) -> bool:
        """Whether a model may be loaded or compiled, during which it may say nothing."""
        return not self.ready or self.preparing or bool(self.loads_for)


def refit(
    places: Sequence[Place], wanted: Iterable[Demand], members: Iterable[Member], *, new: Callable[[Demand], Place]
) -> tuple[list[Place], list[Place]]:
    """The places for these demands, and those of before that are too many; ending ones are neither counted nor given.

    A place stays with the nodes that it was for; of too many, those go first that cost least to give up: nobody holds
    them, or nobody who is ready, or nobody who works.
    """
    holders = {id(member.place): member for member in members}
    left = sorted(
        (place for place in places if not place.ending), key=lambda place: _worth(holders.get(id(place))), reverse=True
    )
    kept = [place for place in places if place.ending]
    for demand in wanted:
        fitting = [place for place in left if place.demand.kind == demand.kind][: demand.workers]
        left = [place for place in left if place not in fitting]
        for place in fitting:
            place.demand = demand
        kept += [*fitting, *(new(demand) for _ in range(demand.workers - len(fitting)))]
    return kept, left


def within_size(node: Node, slot: int, sizes: dict[str, int]) -> tuple[Node, int]:
    """The node session of one of our workers on a node, and which of its GPUs the worker has.

    A session keeps the number of GPUs that it began with. Workers beyond that, which a larger offer brought, stand on
    a session of their own, as on one more node of that size.

    Args:
        node: as a provider sees it now.
        slot: which of our workers on it this is.
        sizes: node session -> GPUs that it began with; kept up here.
    """
    size = sizes.setdefault(node.node_session, node.gpu_count)
    number, gpu_index = divmod(slot, size)
    session = f"{node.node_session}-{number + 1}" if number else node.node_session
    return replace(node, node_session=session, gpu_count=size), gpu_index


def _worth(member: Member | None) -> tuple[int, str]:
    """What giving up a place would cost; workers of one node stand together, so that whole nodes become free."""
    if member is None or not member.node_id:
        return 0, ""
    return 1 + member.ready + bool(member.attempts), member.node_id
