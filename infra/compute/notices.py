"""Which notice stands for a node, out of what its watcher, and Ray itself, say of it."""

from collections.abc import Iterable

from infra.providers.reports import SECOND_NS, Notice
from pipeline.events import NoticeCancelled, NoticeSeen

LEAD_SECONDS = 120.0
"""A node that goes later than this is not told so yet: until then it has time for work."""

_MOST_SECONDS = 86_400.0


def standing(notices: Iterable[Notice], *, now_ns: int) -> Notice | None:
    """The notice that the workers of the node should know of now: the first end of it, else a recommendation."""
    reclaims = [notice for notice in notices if notice.kind == "reclaim"]
    first = min(reclaims, key=lambda notice: notice.deadline_ns, default=None)
    if first is not None and first.deadline_ns - now_ns <= LEAD_SECONDS * SECOND_NS:
        return first
    return next((notice for notice in notices if notice.kind == "rebalance"), None)


def drain_notice(deadline_ns: int, *, seen_ns: int) -> Notice:
    """Somebody drains the node in Ray, which tells the deadline by its own clock; 0: none was set.

    Args:
        deadline_ns: as Ray tells it.
        seen_ns: when this driver first saw the drain.
    """
    most_ns = seen_ns + round(_MOST_SECONDS * SECOND_NS)
    unset_ns = seen_ns + round(LEAD_SECONDS * SECOND_NS)
    at_ns = min(max(deadline_ns, seen_ns), most_ns) if 0 < deadline_ns < 2**62 else unset_ns
    return Notice(kind="reclaim", deadline_ns=at_ns, source="ray", key="drain")


def ends(notice: Notice | None) -> bool:
    """Whether the node will be taken."""
    return notice is not None and notice.kind == "reclaim"


def change(worker: str, before: Notice | None, now: Notice | None, *, at_ns: int) -> list[NoticeSeen | NoticeCancelled]:
    """What to tell the driver when another notice stands for a worker than before."""
    told: list[NoticeSeen | NoticeCancelled] = []
    if now is None or (ends(before) and not ends(now)):
        told.append(NoticeCancelled(worker=worker, at_ns=at_ns))
    if now is not None:
        seen = NoticeSeen(worker=worker, at_ns=at_ns, kind=now.kind, deadline_ns=now.deadline_ns, source=now.source)
        told.append(seen)
    return told
