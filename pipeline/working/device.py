"""Who owns the device: at each instant one batch, or nobody; a batch owns one unbroken interval."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from pipeline.ports import Clock

BatchKey = tuple[str, int]
"""Attempt id and sequence number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """A batch that takes the device."""

    key: BatchKey
    places: tuple[int, ...]
    """What it holds, as places in its assignment."""
    size: int
    """Its shape, the padding included."""


@dataclass(slots=True)
class Tenure:
    """The interval in which one batch owned the device."""

    started_ns: int
    ended_ns: int = 0
    """0 while it lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """The device is made ready for a batch; no batch owns it meanwhile."""

    what: Literal["load", "compile"]
    message: str
    """What is loaded or compiled, for a person."""


Owner = Taking | Making | None
"""What has the device: a batch, what makes it ready for one, or nothing."""


class Device:
    """The device's time line, told as it happens.

    Args:
        clock: where instants come from.
        tell: called with (instant, new owner) at every change, in order; see `Owner`.
    """

    def __init__(self, *, clock: Clock, tell: Callable[[int, Owner], None]) -> None:
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._owner: BatchKey | None = None
        self._tenures: dict[BatchKey, Tenure] = {}

    def take(self, taking: Taking) -> None:
        """The batch takes the device; the one before, if any, ends at the same instant."""
        with self._lock:
            at_ns = self._clock.now_ns()
            if self._owner is not None:
                self._tenures[self._owner].ended_ns = at_ns
            self._owner = taking.key
            self._tenures[taking.key] = Tenure(at_ns)
            self._tell(at_ns, taking)

    @contextmanager
    def made_ready(self, making: Making) -> Iterator[None]:
        """The device is made ready within the block; the batch before, if any, ends where it begins."""
        with self._lock:
            at_ns = self._clock.now_ns()
            if self._owner is not None:
                self._tenures[self._owner].ended_ns = at_ns
                self._owner = None
            self._tell(at_ns, making)
        try:
            yield
        finally:
            with self._lock:
                self._tell(self._clock.now_ns(), None)

    def leave(self, key: BatchKey) -> Tenure:
        """The batch needs the device no more; gives its interval, closed."""
        with self._lock:
            if self._owner == key:
                at_ns = self._clock.now_ns()
                self._tenures[key].ended_ns = at_ns
                self._owner = None
                self._tell(at_ns, None)
            return self._tenures.pop(key)
