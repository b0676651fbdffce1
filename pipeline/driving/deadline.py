"""How many nodes of a reserve a deadline takes beside the spot nodes there are. Pure; time is seconds of any clock.

Spot first: what is left should shrink evenly until the deadline ("uniform progress", Wu et al., Can't Be Late, NSDI
2024). While less is left than that line allows, no reserve is used, whatever becomes of the spot nodes. Behind the
line, as many reserve nodes are held as it takes beside the spot nodes of the moment, until these suffice or the job is
well ahead of it. A change upwards is made at once, one downwards after two changeovers, so that nothing flaps. And
whatever the line says: when the reserve alone would need all of the time that is left, all of it is used.
"""

import math
from collections import deque
from dataclasses import dataclass
from decimal import Decimal

_ROUNDING = 0.05
"""Of a node: rates are measured, so no node is added for less."""

_AHEAD = 0.1
"""Of the line's length: so far ahead a job lets its reserve go in a drought; where spot nodes suffice, at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Nodes of one offer that are used for the deadline alone."""

    most: int
    """Nodes."""
    images_per_second: float
    """Of a node; 0: not known yet."""
    usd_per_hour: Decimal
    up: int = 0
    """Nodes that render already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """Where a job stands before its deadline."""

    now: float
    deadline: float
    left: int
    """Images to render; at least 1."""
    spot_rate: float
    """Images a second of all nodes that are there, starting ones included, but those of the reserve; 0: not known."""
    spot_there: bool
    """Whether any of these is there."""
    changeover_seconds: float
    """From asking for a node to its first batch."""
    batch_seconds: float
    """Of the longest batch: the last one is waited for."""
    reserves: tuple[Reserve, ...]


class Pacer:
    """Keeps a job at its pace towards one deadline. The line begins at the first look."""

    def __init__(self) -> None:
        self._from: tuple[float, int] | None = None
        self._guarded = False
        self._wanted: deque[tuple[float, tuple[int, ...]]] = deque()
        self.held: tuple[int, ...] = ()
        """Nodes of each reserve that are to be held."""

    def look(self, at: Standpoint) -> tuple[int, ...]:
        """Nodes of each reserve that are to be held from now on."""
        self._from = self._from or (at.now, at.left)
        if len(self.held) != len(at.reserves):
            self.held = (0,) * len(at.reserves)
            self._wanted.clear()
        wanted = self._want(at, holds=any(self.held))
        while self._wanted and self._wanted[0][0] < at.now - 2 * at.changeover_seconds:
            self._wanted.popleft()
        self._wanted.append((at.now, wanted))
        most = [max(nodes) for nodes in zip(*(one for _, one in self._wanted), strict=True)]
        self.held = tuple(min(nodes, reserve.most) for nodes, reserve in zip(most, at.reserves, strict=True))
        return self.held

    def _want(self, at: Standpoint, *, holds: bool) -> tuple[int, ...]:
        """Nodes of each reserve by the standpoint alone."""
        everything = tuple(reserve.most for reserve in at.reserves)
        if not any(everything):
            return everything
        if not any(reserve.images_per_second for reserve in at.reserves):
            return self._probe(at)
        alone = at.left / sum(one.most * one.images_per_second for one in at.reserves)
        slack = at.deadline - at.now - alone - at.changeover_seconds - at.batch_seconds
        self._guarded = self._guarded or slack >= at.changeover_seconds + at.batch_seconds
        if self._guarded and slack <= (at.changeover_seconds if holds else 0.0):
            return everything
        ahead_seconds = max(2 * at.changeover_seconds, _AHEAD * (_end(at) - self._began(at))) if holds else 0.0
        if at.left <= self._due(at, at.now + ahead_seconds):
            return (0,) * len(at.reserves)
        return _enough(at, _end(at) - at.now)

    def _began(self, at: Standpoint) -> float:
        """When the first look was."""
        return self._from[0] if self._from else at.now

    def _probe(self, at: Standpoint) -> tuple[int, ...]:
        """Nothing was measured: one node to measure with when no spot node came, all when half of the time is gone."""
        began = self._began(at)
        if at.now - began >= at.deadline - at.now:
            return tuple(reserve.most for reserve in at.reserves)
        first = min(
            (number for number, reserve in enumerate(at.reserves) if reserve.most),
            key=lambda number: at.reserves[number].usd_per_hour,
        )
        waited = at.now - began > at.changeover_seconds * (2 if at.spot_there else 1)
        return tuple(int(waited and number == first) for number in range(len(at.reserves)))

    def _due(self, at: Standpoint, when: float) -> float:
        """How many images may be left at an instant: a line that begins when the first nodes can be there."""
        began, images = self._from or (at.now, at.left)
        began += at.changeover_seconds
        length = _end(at) - began
        return images * min(1.0, max(0.0, 1 - (when - began) / length)) if length > 0 else 0.0


def _end(at: Standpoint) -> float:
    """When the line ends: what is left after it is for a last change of nodes."""
    return at.deadline - 2 * at.changeover_seconds - at.batch_seconds


def _enough(at: Standpoint, seconds: float) -> tuple[int, ...]:
    """Reserve nodes that render in this time what the others will not; the cheapest for an image first."""
    if seconds <= at.changeover_seconds:
        seconds = at.deadline - at.now
    short = at.left - at.spot_rate * seconds
    chosen = [0] * len(at.reserves)
    by_cost = sorted(
        (number for number, one in enumerate(at.reserves) if one.images_per_second),
        key=lambda number: at.reserves[number].usd_per_hour / Decimal(repr(at.reserves[number].images_per_second)),
    )
    for up in (True, False):
        for number in by_cost:
            one = at.reserves[number]
            working = seconds if up else seconds - at.changeover_seconds
            there = min(one.up, one.most)
            nodes = there if up else one.most - there
            if short <= 0 or working <= 0 or nodes <= 0:
                continue
            needed = min(nodes, max(0, math.ceil(short / (one.images_per_second * working) - _ROUNDING)))
            chosen[number] += needed
            short -= needed * one.images_per_second * working
    return tuple(chosen)
