"""The work that waits: whole tasks in plan order, and pieces of tasks that came back, some of them a while later."""

import bisect
import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some of a task's missing images: what one attempt is made of. Pieces of a task never overlap."""

    task: int
    places: tuple[int, ...] | None = None
    """Places in the plan; None: whatever the task misses."""
    strikes: int = 0
    """How often it failed for reasons of infrastructure since it has had this size."""
    tries: int = 0
    """How often it, or the piece that it was cut from, failed so at all; decides how long it waits."""
    suspected: bool = False
    """It is a part of a batch that failed too often for the cloud to be at fault."""
    avoid: frozenset[str] = frozenset()
    """Workers that must not have it again."""
    avoid_types: frozenset[str] = frozenset()
    """Node types on which it does not fit."""


class TaskQueue:
    """Pieces of work.

    Args:
        tasks: numbers of the tasks that miss anything, ascending.
    """

    def __init__(self, tasks: Sequence[int]) -> None:
        self._tasks, self._at = tasks, 0
        self._due: list[tuple[int, int, Piece]] = []
        self._later: list[tuple[int, int, Piece]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._tasks) - self._at + len(self._due) + len(self._later)

    def put(self, piece: Piece, *, due_ns: int) -> None:
        """A piece that waits until this instant."""
        heapq.heappush(self._later, (due_ns, next(self._numbers), piece))

    def pop(self, now_ns: int, may: Callable[[Piece], bool]) -> Piece | None:
        """The next piece that is due and may be had, the earliest of the plan first; None when there is none now."""
        self._wake(now_ns)
        at = next((at for at, (_, _, piece) in enumerate(self._due) if may(piece)), None)
        first = self._tasks[self._at] if self._at < len(self._tasks) else None
        if first is not None and (at is None or first < self._due[at][0]):
            fresh = Piece(task=first)
            if may(fresh):
                self._at += 1
                return fresh
        return None if at is None else self._due.pop(at)[2]

    def returned(self, now_ns: int) -> Iterator[Piece]:
        """The pieces that came back and are due."""
        self._wake(now_ns)
        yield from (piece for _, _, piece in self._due)

    def take_out(self, hopeless: Callable[[int], bool]) -> int:
        """Drop all work of the tasks that are hopeless; gives how many pieces that were."""
        before = len(self)
        self._tasks, self._at = [task for task in self._tasks[self._at :] if not hopeless(task)], 0
        self._due = [entry for entry in self._due if not hopeless(entry[2].task)]
        self._later = [entry for entry in self._later if not hopeless(entry[2].task)]
        heapq.heapify(self._later)
        return before - len(self)

    def remove(self, piece: Piece) -> None:
        """Drop a piece that came back."""
        self._due = [entry for entry in self._due if entry[2] is not piece]

    def _wake(self, now_ns: int) -> None:
        """What has waited long enough is due."""
        while self._later and self._later[0][0] <= now_ns:
            _, number, piece = heapq.heappop(self._later)
            bisect.insort(self._due, (piece.task, number, piece))
