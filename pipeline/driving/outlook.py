"""Whether a deadline will be met with the nodes that there are, and what would make it. Pure."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

_STEADY_SECONDS = 60.0
"""What stands against the deadline is told when it held so long, or a quarter of the time that is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Nodes of one offer, of the reserve or not."""

    name: str
    """Such as `g6e.xlarge spot`."""
    most: int
    """Nodes."""
    there: int
    """Nodes that are there, starting ones included."""
    images_per_second: float
    """Of a node; 0: not known."""


def shortfall(*, seconds: float, left: int, changeover_seconds: float, kinds: Sequence[Kind]) -> float | None:
    """Images that will be missing at the deadline; 0 or less when it is met, None when nothing was measured.

    Args:
        seconds: to the deadline.
        left: images to render.
        changeover_seconds: from asking for a node to its first batch.
        kinds: nodes that there are, or may still come.
    """
    if not any(kind.images_per_second for kind in kinds):
        return None
    there = sum(min(kind.there, kind.most) * kind.images_per_second for kind in kinds) * seconds
    coming = max(0.0, seconds - changeover_seconds) * sum(
        max(0, kind.most - kind.there) * kind.images_per_second for kind in kinds
    )
    return left - there - coming


def remedy(short: float, *, seconds: float, changeover_seconds: float, kinds: Sequence[Kind]) -> str:
    """What would make a deadline that is missed by so many images: more nodes of the fastest type, or more time."""
    fastest = max(kinds, key=lambda kind: kind.images_per_second)
    working = seconds - changeover_seconds
    if working > 0 and fastest.images_per_second > 0:
        nodes = math.ceil(short / (fastest.images_per_second * working))
        if nodes < 1_000_000:
            more = f"{nodes:,} more node{'' if nodes == 1 else 's'} of {fastest.name}"
            return f"{more} ({fastest.images_per_second * 3600:,.0f} images an hour each) would make it"
    return "no node that starts now would come in time; set a later deadline"


class Outlook:
    """What is known of one deadline."""

    def __init__(self) -> None:
        self.on_time: bool | None = None
        """None: nothing was measured."""
        self.text = ""
        """What stands against it, and what would make it."""
        self._short_since: float | None = None

    def look(
        self,
        now: float,
        *,
        seconds: float,
        left: int,
        changeover_seconds: float,
        kinds: Sequence[Kind],
        reserves: Collection[int],
    ) -> None:
        """See whether it can be met, with the nodes of now and the reserve, and with all that may come.

        Args:
            now: seconds of any clock.
            seconds: to the deadline.
            left: images to render.
            changeover_seconds: from asking for a node to its first batch.
            kinds: nodes that the job may use.
            reserves: numbers of those that come when they are asked for.
        """
        missed = partial(shortfall, seconds=seconds, left=left, changeover_seconds=changeover_seconds)
        short = missed(
            kinds=[
                kind if number in reserves else replace(kind, most=min(kind.most, kind.there))
                for number, kind in enumerate(kinds)
            ]
        )
        if short is None or short <= 0:
            self.on_time, self.text, self._short_since = None if short is None else True, "", None
            return
        self._short_since = now if self._short_since is None else self._short_since
        if now - self._short_since < min(_STEADY_SECONDS, seconds / 4):
            return
        at_most = missed(kinds=kinds) or 0.0
        if at_most > 0:
            said = remedy(at_most, seconds=seconds, changeover_seconds=changeover_seconds, kinds=kinds)
            self.text = f"the deadline cannot be met: {math.ceil(at_most):,} images will be missing; {said}"
        else:
            self.text = (
                f"the deadline is met only if more spot nodes come: else {math.ceil(short):,} images will be missing"
            )
        self.on_time = False
