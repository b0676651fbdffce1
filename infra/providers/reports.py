"""What a node says of itself: who it is, and whether it is about to be taken away."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import SpotrenderError
from pipeline.events import NoticeKind

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A node as its cloud, its pod or its configuration names it; an empty field is not known."""

    provider: str
    """`aws`, `gcp`, `azure`, `kubernetes` or `static`."""
    node_id: str = ""
    """The cloud's id of the instance, or the name of the Kubernetes node."""
    node_type: str = ""
    market: str = ""
    """`spot` or `on_demand`."""
    region: str = ""
    zone: str = ""
    launched_ns: int = 0
    """When the instance was launched; 0: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Somebody will take the node, or recommends to leave it."""

    kind: NoticeKind
    deadline_ns: int
    """By the node's own clock; for `rebalance` the instant of the recommendation."""
    source: str
    """Who said so: a provider's name, or `ray`."""
    key: str = ""
    """Tells this notice from another one of the same source; as the source words it."""


class SilentError(SpotrenderError):
    """A source did not answer, or answered nothing that makes sense; its text says what, in one line."""


class Source(Protocol):
    """One place to ask; used from one thread of its own, so it may be slow."""

    name: str
    """The provider's."""
    poll_seconds: float
    """How often to ask for notices."""

    def identity(self) -> Identity | None:
        """Who the node is; None when this source has nothing to say of that. Raises: SilentError."""

    def notices(self) -> tuple[Notice, ...]:
        """All that stand now; one that stood before and is missing was cancelled. Raises: SilentError."""


def clamped(at_ns: int, *, now_ns: int, most_seconds: float) -> int:
    """A deadline that others told, brought into what can be true: from now on, and no later than this.

    A clock that is off, or a hostile answer, must neither make a notice look harmless nor an instant overflow.
    """
    return min(max(at_ns, now_ns), now_ns + round(most_seconds * SECOND_NS))
