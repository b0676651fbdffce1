"""Time as the domain wants it: nanoseconds since the epoch that never run backwards."""

import time


class SystemClock:
    """The machine's clock, anchored once: later steps of the wall clock do not reach it.

    Where the system can say so (Linux), time in which the machine slept counts: nodes elsewhere cost money meanwhile.
    """

    def __init__(self) -> None:
        self._anchor = time.time_ns() - _elapsed_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._anchor + _elapsed_ns()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def _elapsed_ns() -> int:
    """Nanoseconds since some instant, never running backwards."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ManualClock:
    """A clock that moves only when told; sleeping moves it."""

    def __init__(self, start_ns: int = 1_800_000_000_000_000_000) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        return self._now_ns

    def sleep(self, seconds: float) -> None:
        """Move the clock on."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._now_ns += round(seconds * 1e9)
