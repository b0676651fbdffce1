"""What becomes of the images that an attempt left: again, later, elsewhere, in halves, or recorded as failed.

`pipeline/causes.py` says what follows from a cause; this is how it is done. Pure but for what it remembers of images
that failed alone. That is lost with the driver: the next one gives each of them its full tries.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from pipeline.causes import RULES, Remedy
from pipeline.driving.drive_policy import RetryPolicy
from pipeline.driving.task_queue import Piece
from pipeline.record import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """An attempt that is over and did not bring all of its images."""

    piece: Piece
    """With its places."""
    attempt: str
    worker: str
    node_type: str
    cause: Cause
    message: str
    died: bool = False
    """Whether the worker is gone."""
    progressed: bool = False
    """Whether the attempt brought any image."""
    blamed: frozenset[int] = frozenset()
    """Places in the plan of the batch on which it ended, or that was on the device when the worker died."""
    alone: tuple[tuple[int, Cause, str], ...] = ()
    """Places that failed alone in a process that works, with cause and message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An image that is given up."""

    place: int
    cause: Cause
    message: str


@dataclass(slots=True)
class Verdict:
    """What to do."""

    again: list[tuple[Piece, float]] = field(default_factory=list)
    """Pieces to queue, and after how many seconds."""
    failed: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class _Doubt:
    """What is held against one image."""

    refused: dict[Cause, set[str]] = field(default_factory=dict)
    """By cause: the processes in which it failed alone."""
    too_large_for: set[str] = field(default_factory=set)
    """Node types on which it does not fit even alone."""
    message: str = ""


class Retries:
    """Decides on what comes back.

    Args:
        policy: how often and how soon.
        jitter: random numbers from 0 to 1.
        node_types: those that the job may use, as they are now.
    """

    def __init__(
        self, *, policy: RetryPolicy, jitter: Callable[[], float], node_types: Callable[[], frozenset[str]]
    ) -> None:
        self._policy, self._jitter, self._node_types = policy, jitter, node_types
        self._doubts: dict[int, _Doubt] = {}

    def doubt(self, place: int, cause: Cause, message: str, *, worker: str, node_type: str = "") -> None:
        """An image failed alone in this process, or its picture was refused there."""
        doubt = self._doubts.setdefault(place, _Doubt())
        doubt.message = message
        if cause is Cause.OUT_OF_MEMORY:
            doubt.too_large_for.add(node_type)
        else:
            doubt.refused.setdefault(cause, set()).add(worker)

    def decide(self, back: Returned, missing: Sequence[int]) -> Verdict:
        """What to do with the images of an attempt that are still missing, as places in the plan."""
        for place, cause, message in back.alone:
            self.doubt(place, cause, message, worker=back.worker, node_type=back.node_type)
        blamed = [place for place in missing if place in back.blamed]
        if back.cause is Cause.BAD_REQUEST and len(blamed) == 1:
            self.doubt(blamed[0], back.cause, back.message, worker=back.worker)
        verdict = Verdict()
        left: list[int] = []
        for place in missing:
            if failure := self._failure(place):
                self._doubts.pop(place)
                verdict.failed.append(failure)
            else:
                left.append(place)
        for (avoid, types), some in _grouped(left, self._avoid):
            for piece, wait in self._again(back, some, verdict):
                verdict.again.append((replace(piece, avoid=avoid, avoid_types=types), wait))
        return verdict

    def too_large(self, piece: Piece) -> list[Failure]:
        """Give up images that fit on no node that there is."""
        return [
            Failure(place=place, cause=Cause.OUT_OF_MEMORY, message=self._doubts[place].message)
            for place in piece.places or ()
            if place in self._doubts
        ]

    def _failure(self, place: int) -> Failure | None:
        """Why an image is given up, if it is."""
        doubt = self._doubts.get(place)
        if doubt is None:
            return None
        for cause, workers in doubt.refused.items():
            if len(workers) >= self._policy.refusals:
                return Failure(place=place, cause=cause, message=doubt.message)
        if doubt.too_large_for and self._node_types() <= doubt.too_large_for:
            return Failure(place=place, cause=Cause.OUT_OF_MEMORY, message=doubt.message)
        return None

    def _avoid(self, place: int) -> tuple[frozenset[str], frozenset[str]]:
        """The workers and the node types that must not have an image."""
        doubt = self._doubts.get(place)
        if doubt is None:
            return frozenset(), frozenset()
        return frozenset().union(*doubt.refused.values()), frozenset(doubt.too_large_for)

    def _again(self, back: Returned, places: list[int], verdict: Verdict) -> list[tuple[Piece, float]]:
        """Some places that are tried again, with the wait of each piece."""
        piece = replace(back.piece, places=tuple(places))
        remedy = RULES[back.cause].remedy
        if back.cause is Cause.OUT_OF_MEMORY and back.died and back.blamed:
            remedy = Remedy.LATER  # the host ran out of memory with the smallest batch there is
        if remedy is Remedy.WAIT_FOR_STORE:
            return [(piece, self._policy.store_wait_seconds)]
        blamed, others = _divided(places, back.blamed)
        if remedy is Remedy.APART and len(blamed) > 1:
            return self._halves(piece, blamed) + self._rest(piece, others)
        if remedy is Remedy.LATER:
            if not blamed and not back.died and not back.progressed:
                blamed, others = others, []
            return self._later(back, piece, blamed, verdict) + self._rest(piece, others)
        return [(piece, 0.0)]

    def _later(self, back: Returned, piece: Piece, blamed: list[int], verdict: Verdict) -> list[tuple[Piece, float]]:
        """A batch that failed for reasons of infrastructure."""
        if not blamed:
            return []
        tries, strikes = piece.tries + 1, piece.strikes + 1
        wait = self._policy.wait_seconds(tries, self._jitter())
        piece = replace(piece, places=tuple(blamed), tries=tries)
        convicted = strikes >= (self._policy.deaths if back.died else self._policy.strikes)
        if len(blamed) > 1 and (convicted or piece.suspected):
            return self._halves(piece, blamed, wait)
        if convicted and piece.suspected:
            verdict.failed.extend(Failure(place=place, cause=back.cause, message=back.message) for place in blamed)
            return []
        if convicted:
            return [(replace(piece, suspected=True, strikes=0), wait)]
        return [(replace(piece, strikes=strikes), wait)]

    def _halves(self, piece: Piece, places: list[int], wait: float = 0.0) -> list[tuple[Piece, float]]:
        """A batch in two."""
        middle = len(places) // 2
        halves = (places[:middle], places[middle:])
        return [(replace(piece, places=tuple(half), suspected=True, strikes=0), wait) for half in halves]

    def _rest(self, piece: Piece, places: list[int]) -> list[tuple[Piece, float]]:
        """What had nothing to do with the end."""
        return [(replace(piece, places=tuple(places)), 0.0)] if places else []


def _divided(places: Iterable[int], among: frozenset[int]) -> tuple[list[int], list[int]]:
    """Those that are among the others, and those that are not."""
    inside: list[int] = []
    outside: list[int] = []
    for place in places:
        (inside if place in among else outside).append(place)
    return inside, outside


def _grouped(
    places: Iterable[int], key: Callable[[int], tuple[frozenset[str], frozenset[str]]]
) -> list[tuple[tuple[frozenset[str], frozenset[str]], list[int]]]:
    """Places with the same key side by side, each group in the plan's order."""

    def order(place: int) -> tuple[list[str], list[str]]:
        avoid, types = key(place)
        return sorted(avoid), sorted(types)

    return [
        (key(group[0]), group) for _, some in groupby(sorted(places, key=order), key=order) if (group := list(some))
    ]
