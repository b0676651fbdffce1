"""Shows how far a loop has come: one line that is drawn again on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from jobs.terminal_text import duration

LIVE_SECONDS = 0.2
PLAIN_SECONDS = 5.0
"""Between two lines; a loop that is over sooner says nothing."""


class Counter:
    """A context in which it can be called with (done, in all; None when that is unknown).

    Args:
        stream: stderr, as a rule.
        verb: what is done to the images, such as `checked`.
        live: draw one line again and again; else plain lines.
        now: seconds on any steady clock.
        unit: what is counted.
        per: so many are one of the unit.
    """

    def __init__(
        self,
        stream: TextIO,
        verb: str,
        *,
        live: bool,
        now: Callable[[], float] = time.monotonic,
        unit: str = "images",
        per: int = 1,
    ) -> None:
        self._stream, self._verb, self._live, self._now = stream, verb, live, now
        self._unit, self._per = unit, per
        self._started = self._said_at = now()
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def __call__(self, done: int, total: int | None) -> None:
        """Show this; cheap enough for many a second."""
        now = self._now()
        if now - self._said_at < (LIVE_SECONDS if self._live else PLAIN_SECONDS):
            return
        self._said_at = now
        done, total = done // self._per, None if total is None else total // self._per
        speed = done / max(now - self._started, 1e-9)
        left = "" if total is None or not 0 < done < total else f", {duration((total - done) / speed)} left"
        whole = "" if total is None else f" of {total:,}"
        line = f"{self._verb} {done:,}{whole} {self._unit}, {speed:,.0f}/s{left}"
        if self._live:
            self._drawn = True
            print(f"\r\x1b[K{line[:79]}", end="", file=self._stream, flush=True)
        else:
            print(line, file=self._stream, flush=True)
