"""The work that waits: whole tasks in plan order, and pieces of tasks that came back, some of them a while later.

Work comes in kinds, which are its models. Whoever asks may prefer one kind, so that no worker loads a model while work
of the one that it holds is left; the earliest work of the plan is passed over only so often.
"""

import bisect
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 32
"""How many pieces in a row may be handed out from behind the earliest one."""


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
        kind: of a task.
    """

    def __init__(self, tasks: Sequence[int], kind: Callable[[int], str] = lambda _task: "") -> None:
        self._kind = kind
        self._fresh: dict[str, deque[int]] = {}
        for task in tasks:
            self._fresh.setdefault(kind(task), deque()).append(task)
        self._due: list[tuple[int, int, Piece]] = []
        self._later: list[tuple[int, int, Piece]] = []
        self._numbers = itertools.count()
        self._passed_over = 0

    def __len__(self) -> int:
        return sum(map(len, self._fresh.values())) + len(self._due) + len(self._later)

    def put(self, piece: Piece, *, due_ns: int) -> None:
        """A piece that waits until this instant."""
        heapq.heappush(self._later, (due_ns, next(self._numbers), piece))

    def pop(self, now_ns: int, may: Callable[[Piece], bool], *, preferred: str = "") -> Piece | None:
        """The next piece that is due and may be had; None when there is none now.

        Args:
            now_ns: the present instant.
            may: whether whoever asks may have a piece.
            preferred: kind of which the earliest piece of the plan is given, if there is one and unless the earliest of
                all was passed over too often; empty for none.
        """
        self._wake(now_ns)
        firsts = self._firsts(may)
        if not firsts:
            return None
        earliest = min(firsts, key=lambda kind: firsts[kind].task)
        chosen = preferred if preferred in firsts and self._passed_over < PATIENCE else earliest
        self._passed_over = 0 if chosen == earliest else self._passed_over + 1
        return self._taken(chosen, firsts[chosen])

    def returned(self, now_ns: int) -> Iterator[Piece]:
        """The pieces that came back and are due."""
        self._wake(now_ns)
        yield from (piece for _, _, piece in self._due)

    def take_out(self, hopeless: Callable[[int], bool]) -> int:
        """Drop all work of the tasks that are hopeless; gives how many pieces that were."""
        before = len(self)
        for kind, tasks in self._fresh.items():
            self._fresh[kind] = deque(task for task in tasks if not hopeless(task))
        self._due = [entry for entry in self._due if not hopeless(entry[2].task)]
        self._later = [entry for entry in self._later if not hopeless(entry[2].task)]
        heapq.heapify(self._later)
        return before - len(self)

    def remove(self, piece: Piece) -> None:
        """Drop a piece that came back."""
        self._due = [entry for entry in self._due if entry[2] is not piece]

    def _firsts(self, may: Callable[[Piece], bool]) -> dict[str, Piece]:
        """The earliest piece of each kind that may be had now."""
        firsts: dict[str, Piece] = {}
        for _, _, piece in self._due:
            if self._kind(piece.task) not in firsts and may(piece):
                firsts[self._kind(piece.task)] = piece
        for kind, tasks in self._fresh.items():
            fresh = Piece(task=tasks[0]) if tasks else None
            if fresh is not None and (kind not in firsts or fresh.task < firsts[kind].task) and may(fresh):
                firsts[kind] = fresh
        return firsts

    def _taken(self, kind: str, piece: Piece) -> Piece:
        """The piece, which waits no more."""
        before = len(self._due)
        self.remove(piece)
        if len(self._due) == before:
            self._fresh[kind].popleft()
        return piece

    def _wake(self, now_ns: int) -> None:
        """What has waited long enough is due."""
        while self._later and self._later[0][0] <= now_ns:
            _, number, piece = heapq.heappop(self._later)
            bisect.insort(self._due, (piece.task, number, piece))
