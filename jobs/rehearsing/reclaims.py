"""When which node is taken and comes back: from a recorded trace, or random by a seed. Pure, but for reading the file.

Instants are seconds since the first batch was rendered.
"""

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jobs.terminal_text import printable
from pipeline.errors import JobFileError

_MOST_LINES = 1_000_000
_MOST_PROBLEMS = 20
_LONGEST_NAME = 100
_FORM = "milliseconds,add|remove,node such as 60000,remove,node7"

Change = Literal["add", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEvent:
    """One line of a trace."""

    at_seconds: float
    change: Change
    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is to be done to one node of the cluster."""

    at_seconds: float
    what: Literal["announce", "kill", "add"]
    node: str


def read_trace(path: Path, *, speed: float = 1.0) -> tuple[TraceEvent, ...]:
    """The events of a recorded trace, its first one at 0, so many times as fast as they happened.

    Args:
        path: lines of `milliseconds,add|remove,node`, in the order of time.
        speed: divides all times.

    Raises:
        JobFileError: it cannot be read, or lines are not of that form: all of them, each with its number.
    """
    events: list[TraceEvent] = []
    problems: list[str] = []
    first_ms = last_ms = 0
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        if number > _MOST_LINES:
            raise JobFileError(f"{path}:{number}: a trace has at most {_MOST_LINES:,} lines; cut it")
        said = _problem(line, last_ms if events else None)
        if said:
            problems.append(f"{path}:{number}: {said}")
            continue
        when, change, node = (part.strip() for part in line.split(","))
        last_ms = int(when)
        first_ms = first_ms if events else last_ms
        change_: Change = "add" if change == "add" else "remove"
        events.append(TraceEvent(at_seconds=(last_ms - first_ms) / 1000 / speed, change=change_, node=node))
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        lines = problems[:_MOST_PROBLEMS] + ([f"... and {more} more problems"] if more > 0 else [])
        raise JobFileError("\n".join(lines))
    if not events:
        raise JobFileError(f"{path}: holds no events; each line must be {_FORM}")
    return tuple(events)


def _lines(path: Path) -> Iterator[str]:
    """The lines of the file. Raises: JobFileError: it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            while line := stream.readline(4096):
                yield line
    except OSError as error:
        raise JobFileError(f"{path}: cannot be read: {error.strerror}; is the path right?") from error


def _problem(line: str, last_ms: int | None) -> str:
    """What is wrong with a line; empty when nothing is."""
    parts = [part.strip() for part in line.split(",")]
    shown = printable(line.strip(), most=80)
    if len(parts) != 3 or not (parts[0].isascii() and parts[0].isdecimal() and len(parts[0]) < 16):
        return f'must be {_FORM}, got "{shown}"'
    if parts[1] not in {"add", "remove"}:
        return f'must say add or remove in its second column, got "{printable(parts[1], most=80)}"'
    if not 0 < len(parts[2]) <= _LONGEST_NAME:
        return f"must name a node in its third column, in at most {_LONGEST_NAME} characters"
    if last_ms is not None and int(parts[0]) < last_ms:
        return f"{parts[0]} ms is before the line above it ({last_ms} ms); sort the trace by time"
    return ""


def random_removals(seed: int, *, every_seconds: float) -> Iterator[float]:
    """Instants of reclaims without end, so far apart on average, from half to one and a half times as far."""
    dice = random.Random(f"instants {seed}")  # noqa: S311 - no secret hangs on it
    at = 0.0
    while True:
        at += every_seconds * dice.uniform(0.5, 1.5)
        yield at


@dataclass(slots=True, kw_only=True)
class Script:
    """What is done to which node when; asked again and again with the present instant.

    A node that is there may be announced; one that was announced, or that is announced with no notice at all, is
    killed; and one that was killed comes back. A trace may know more nodes than the cluster has room for: those that
    find no room are left out, as the nodes of somebody else.
    """

    notice_seconds: float
    room: int
    """Nodes that the cluster has at most."""
    there: list[str]
    """Nodes that can be taken; at first those that the cluster begins with."""
    _due: list[tuple[float, int, Action]] = field(default_factory=list)
    _count: Iterator[int] = field(default_factory=itertools.count)
    _leaving: set[str] = field(default_factory=set)

    def remove(self, at_seconds: float, node: str) -> None:
        """Take this node, if it is there and not on its way out."""
        if node not in self.there or node in self._leaving:
            return
        self._leaving.add(node)
        if self.notice_seconds > 0:
            self._plan(Action(at_seconds=at_seconds, what="announce", node=node))
        else:
            self._plan(Action(at_seconds=at_seconds, what="kill", node=node))

    def add(self, at_seconds: float, node: str) -> None:
        """Let this node come, if there is room when the time has come."""
        self._plan(Action(at_seconds=at_seconds, what="add", node=node))

    @property
    def next_at(self) -> float:
        """When the next action is due; infinity when none is planned."""
        return self._due[0][0] if self._due else math.inf

    def take(self, now_seconds: float) -> Action | None:
        """The next action; it counts as done now. None when it is moot: no room, or there already."""
        action = heapq.heappop(self._due)[2]
        if action.what == "announce":
            self._plan(Action(at_seconds=now_seconds + self.notice_seconds, what="kill", node=action.node))
        elif action.what == "kill":
            self.there.remove(action.node)
            self._leaving.discard(action.node)
        elif action.what == "add":
            if action.node in self.there or len(self.there) >= self.room:
                return None
            self.there.append(action.node)
        return action

    def takeable(self) -> list[str]:
        """Nodes that are there and not announced."""
        return [node for node in self.there if node not in self._leaving]

    def _plan(self, action: Action) -> None:
        heapq.heappush(self._due, (action.at_seconds, next(self._count), action))


@dataclass(slots=True, kw_only=True)
class Replay:
    """The reclaims of one rehearsal.

    Args:
        script: of the cluster.
        events: of a trace; empty for random reclaims.
        removals: instants of random reclaims; they come one by one.
        seed: decides which nodes they hit.
        back_after_seconds: how long a node stays away that no line of a trace brings back.
    """

    script: Script
    events: tuple[TraceEvent, ...] = ()
    removals: Iterator[float] = field(default_factory=lambda: iter(()))
    seed: int = 0
    back_after_seconds: float = 10.0
    _line: int = 0
    _removal_at: float = field(init=False)
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(f"nodes {self.seed}")  # noqa: S311 - no secret hangs on it
        self._removal_at = next(self.removals, math.inf)

    def due(self, now: Callable[[], float]) -> Iterator[Action]:
        """What is to be done by now; each action is given once.

        Args:
            now: the present instant; asked again and again, as what is done to a node takes its time.
        """
        while (at := min(self._line_at(), self._removal_at, self.script.next_at)) <= now():
            if at == self._line_at():
                self._take_line()
            elif at == self._removal_at:
                if nodes := self.script.takeable():
                    self.script.remove(at, self._dice.choice(nodes))
                self._removal_at = next(self.removals, math.inf)
            elif (action := self.script.take(now())) is not None:
                if action.what == "kill" and self._line_at() == math.inf:
                    self.script.add(at + self.back_after_seconds, action.node)
                yield action

    def _line_at(self) -> float:
        """When the next line of the trace is due; infinity when there is none."""
        return self.events[self._line].at_seconds if self._line < len(self.events) else math.inf

    def _take_line(self) -> None:
        """Hand a line of the trace to the script; after the last one all nodes come back, so that the job can end."""
        event = self.events[self._line]
        self._line += 1
        if event.change == "remove":
            self.script.remove(event.at_seconds, event.node)
        else:
            self.script.add(event.at_seconds, event.node)
        if self._line == len(self.events):
            for number in range(self.script.room - len(self.script.there)):
                self.script.add(event.at_seconds + self.back_after_seconds, f"after the trace {number + 1}")


def first_names(events: Iterable[TraceEvent], count: int) -> list[str]:
    """The nodes that a trace names first: those that a rehearsal begins with."""
    return list(dict.fromkeys(event.node for event in events))[:count]
