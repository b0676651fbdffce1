"""What workers decided by themselves: told once, whichever of them says it, and kept for the job's status."""

from typing import Final

from pipeline.events import Remark

MOST: Final = 8
"""Remarks that a status holds."""

LONGEST: Final = 400
"""Characters of one of them."""


class Remarks:
    """Of all workers of one driver."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def is_new(self, remark: Remark) -> bool:
        """Take it in; whether nobody remarked upon the same thing before."""
        if remark.about in self._said:
            return False
        self._said[remark.about] = remark.message if len(self._said) < MOST else ""
        return True

    @property
    def told(self) -> tuple[str, ...]:
        """The first ones, each cut to its longest."""
        return tuple(message[:LONGEST] for message in self._said.values() if message)
