"""The device batch with which a worker makes most images a second, found on work that counts.

Sizes are doubled as long as that pays. The first batch of each size is not measured: it compiles, allocates and warms
up. What is kept is the smallest size close to the best, as a batch is also what a reclaim costs.
"""

from collections.abc import Mapping
from typing import Final

CLOSE: Final = 0.03
"""Of two sizes whose images per second differ by less, the smaller one is as good."""

LARGEST: Final = 32
"""No larger batch is tried: its pictures wait in the worker's memory four times over."""

LONGEST_SECONDS: Final = 60.0
"""Nor one that would keep the device for longer: a notice may come as late as half a minute before the end."""

_INSTANT: Final = 1e-9


def best_size(seconds: Mapping[int, float]) -> int:
    """The smallest size whose images per second are within 3 % of the best.

    Args:
        seconds: that a full batch of each size takes; at least one size.
    """
    rates = {size: _rate(size, taken) for size, taken in seconds.items()}
    best = max(rates.values())
    return min(size for size, rate in rates.items() if rate >= best * (1 - CLOSE))


class Tuner:
    """One search, on one worker, for one model and shape; pure.

    Args:
        first: size to begin with.
        most: no larger one is tried.
    """

    def __init__(self, *, first: int = 1, most: int = LARGEST) -> None:
        self._most = max(1, most)
        self._size = min(max(1, first), self._most)
        self._warm = False
        self._seconds: dict[int, float] = {}
        self._chosen: int | None = None

    @property
    def chosen(self) -> int | None:
        """What the search came to; None while it lasts."""
        return self._chosen

    @property
    def wanted(self) -> int:
        """The size to render with now: the one that is being measured, or the chosen one."""
        return self._chosen or self._size

    @property
    def so_far(self) -> int | None:
        """The best of what was measured, for batches too short to measure; None before the first measurement."""
        return self._chosen or (best_size(self._seconds) if self._seconds else None)

    @property
    def seconds(self) -> dict[int, float]:
        """Size -> seconds of a full batch, as measured."""
        return dict(self._seconds)

    def rendered(self, size: int, seconds: float) -> None:
        """A full batch of this size had the device for so long."""
        if self._chosen is not None or size != self._size:
            return
        if not self._warm:
            self._warm = True
            return
        earlier = max((_rate(*one) for one in self._seconds.items()), default=0.0)
        self._seconds[size] = seconds
        pays = _rate(size, seconds) * (1 - CLOSE) > earlier
        if pays and size * 2 <= self._most and seconds * 2 <= LONGEST_SECONDS:
            self._size, self._warm = size * 2, False
        else:
            self._chosen = best_size(self._seconds)

    def limit(self, most: int) -> None:
        """Nothing larger fits."""
        self._most = max(1, min(self._most, most))
        if self.wanted <= self._most:
            return
        fitting = {size: taken for size, taken in self._seconds.items() if size <= self._most}
        if fitting:
            self._seconds, self._chosen = fitting, best_size(fitting)
        else:
            self._seconds, self._chosen, self._size, self._warm = {}, None, self._most, False


def _rate(size: int, seconds: float) -> float:
    """Images per second."""
    return size / max(seconds, _INSTANT)
