"""Bound templates: each knows how many texts it stands for, gives the n-th of them, and draws one by dice.

`count` stops at `MANY`; `size` is the most characters and steps that one text can take, so nothing that is small to
write and endless to read is ever begun.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from pipeline.templates.dice import Dice

MANY = 10**100
"""More than anyone counts."""

Values = dict[str, str]
"""What was chosen for each variable so far."""


class Form(Protocol):
    """A bound template."""

    @property
    def count(self) -> int:
        """How many texts it stands for, at most `MANY`; texts that read alike count each."""

    @property
    def size(self) -> int:
        """Characters and steps of the longest text, at most."""

    @property
    def depth(self) -> int:
        """Forms within each other."""

    def at(self, index: int, values: Values) -> str:
        """The text of a place from 0 to `count` - 1, where `count` is below `MANY`; the last choice varies fastest."""

    def draw(self, dice: Dice, values: Values) -> str:
        """One text by dice and weights."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Words that stand for themselves."""

    text: str

    @property
    def count(self) -> int:
        return 1

    @property
    def size(self) -> int:
        return len(self.text) + 1

    @property
    def depth(self) -> int:
        return 1

    def at(self, index: int, values: Values) -> str:
        return self.text

    def draw(self, dice: Dice, values: Values) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Used:
    """A variable."""

    name: str
    longest: int
    """Size of what may be chosen for it."""

    @property
    def count(self) -> int:
        return 1

    @property
    def size(self) -> int:
        return self.longest

    @property
    def depth(self) -> int:
        return 1

    def at(self, index: int, values: Values) -> str:
        return values[self.name]

    def draw(self, dice: Dice, values: Values) -> str:
        return values[self.name]


@dataclass(frozen=True, slots=True)
class Kept:
    """What sets a variable, and is itself no text."""

    name: str
    body: Form

    @property
    def count(self) -> int:
        return self.body.count

    @property
    def size(self) -> int:
        return self.body.size + 1

    @property
    def depth(self) -> int:
        return self.body.depth + 1

    def at(self, index: int, values: Values) -> str:
        values[self.name] = self.body.at(index, values)
        return ""

    def draw(self, dice: Dice, values: Values) -> str:
        values[self.name] = self.body.draw(dice, values)
        return ""


class Joined:
    """Forms one after the other: every text of the one with every text of the next."""

    __slots__ = ("_below", "_parts", "count", "depth", "size")

    def __init__(self, parts: Sequence[Form]) -> None:
        self._parts = tuple(parts)
        self.size = 1 + sum(part.size for part in parts)
        self.depth = 1 + max((part.depth for part in parts), default=0)
        below = [1]
        for part in reversed(self._parts):
            below.append(min(MANY, below[-1] * part.count))
        self.count = below.pop()
        self._below = tuple(reversed(below))

    def at(self, index: int, values: Values) -> str:
        texts = []
        for part, below in zip(self._parts, self._below, strict=True):
            place, index = divmod(index, below)
            texts.append(part.at(place, values))
        return "".join(texts)

    def draw(self, dice: Dice, values: Values) -> str:
        return "".join([part.draw(dice, values) for part in self._parts])


class OneOf:
    """One of several forms.

    Args:
        options: at least one.
        weights: of each, above 0.
    """

    __slots__ = ("_options", "_places", "_weights", "count", "depth", "size")

    def __init__(self, options: Sequence[Form], weights: Sequence[int]) -> None:
        self._options = tuple(options)
        self._weights = tuple(accumulate(weights))
        self._places = tuple(accumulate(option.count for option in options))
        self.count = min(MANY, self._places[-1])
        self.size = 1 + max(option.size for option in options)
        self.depth = 1 + max(option.depth for option in options)

    def at(self, index: int, values: Values) -> str:
        chosen = bisect_right(self._places, index)
        before = self._places[chosen - 1] if chosen else 0
        return self._options[chosen].at(index - before, values)

    def draw(self, dice: Dice, values: Values) -> str:
        chosen = bisect_right(self._weights, dice.below(self._weights[-1]))
        return self._options[chosen].draw(dice, values)


class SomeOf:
    """Several different ones of some forms, in the order in which they stand.

    Args:
        options: at least `high`.
        weights: of each, above 0.
        low: at least so many.
        high: at most so many.
        separator: stands between them.
    """

    __slots__ = ("_high", "_low", "_options", "_separator", "_ways", "_weights", "count", "depth", "size")

    def __init__(self, options: Sequence[Form], weights: Sequence[int], *, low: int, high: int, separator: str) -> None:
        self._options, self._weights = tuple(options), tuple(weights)
        self._low, self._high, self._separator = low, high, separator
        self._ways = _ways([option.count for option in options], high)
        self.count = min(MANY, sum(self._ways[number][0] for number in range(low, high + 1)))
        longest = sorted((option.size for option in options), reverse=True)[:high]
        self.size = 1 + len(options) + sum(longest) + high * len(separator)
        self.depth = 1 + max(option.depth for option in options)

    def at(self, index: int, values: Values) -> str:
        number = self._low
        while index >= self._ways[number][0]:
            index -= self._ways[number][0]
            number += 1
        texts, first = [], 0
        for left in range(number, 0, -1):
            ways = self._ways[left]
            # Those whose first one stands before place i are the ways from `first` on less the ways from i on.
            chosen = first + bisect_right(range(first, len(ways)), index, key=lambda i: ways[first] - ways[i]) - 1
            index -= ways[first] - ways[chosen]
            place, index = divmod(index, self._ways[left - 1][chosen + 1])
            texts.append(self._options[chosen].at(place, values))
            first = chosen + 1
        return self._separator.join(texts)

    def draw(self, dice: Dice, values: Values) -> str:
        left = list(range(len(self._options)))
        chosen = []
        for _ in range(self._low + dice.below(self._high - self._low + 1)):
            weights = list(accumulate(self._weights[option] for option in left))
            chosen.append(left.pop(bisect_right(weights, dice.below(weights[-1]))))
        return self._separator.join([self._options[option].draw(dice, values) for option in sorted(chosen)])


def _ways(counts: Sequence[int], most: int) -> list[list[int]]:
    """`[k][i]`: in how many ways k of the options from i on can be chosen and written."""
    none = [1] * (len(counts) + 1)
    table = [none]
    for _ in range(most):
        row = [0] * (len(counts) + 1)
        for place in range(len(counts) - 1, -1, -1):
            row[place] = min(MANY, row[place + 1] + counts[place] * table[-1][place + 1])
        table.append(row)
    return table
