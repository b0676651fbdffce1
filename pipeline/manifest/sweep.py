"""Sweeps: every row once for each point of some axes, such as two guidance scales times four seeds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from pipeline.errors import JobFileError
from pipeline.manifest.row import Row

MAX_POINTS = 10_000
"""Points of one sweep."""

_LONGEST_TAG = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a sweep."""

    fields: Mapping[str, object]
    """Fields of a row, typed."""
    tags: Mapping[str, str]
    """The same as words, so that reports can say what each value cost: `--by tag:guidance_scale`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All points, in order."""

    points: tuple[Point, ...] = (Point(fields={}, tags={}),)
    """At least one; the one of no sweep at all changes nothing."""

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that are swept."""
        return tuple(self.points[0].fields)

    def problem(self, row: Row) -> str | None:
        """Why a row cannot be swept: it says itself what the sweep says."""
        for name in self.names:
            if getattr(row, name) is not None:
                return f"{name} is given here and swept by the job; remove it from one of them"
            if name in row.tags:
                return f"tag {name} is given here, and the sweep gives it to each value of {name}; rename it"
        return None

    def of(self, row: Row) -> Iterator[Row]:
        """The row at each point."""
        for point in self.points:
            tags = dict(sorted({**row.tags, **point.tags}.items()))
            yield row._replace(**cast("dict[str, Any]", point.fields), tags=tags)


def make_sweep(axes: Mapping[str, Sequence[object]], *, together: bool) -> Sweep:
    """The points of some axes; the last axis varies fastest.

    Args:
        axes: field -> typed values, at least one each.
        together: the first values of all axes, then the second ones, ...; else each value with every other.

    Raises:
        JobFileError: there are too many points, or axes of different lengths that go together.
    """
    lengths = {name: len(values) for name, values in axes.items()}
    if together and len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise JobFileError(f"sweep: axes of mode zip must be of the same length: {found}")
    count = max(lengths.values()) if together else math.prod(lengths.values())
    if count > MAX_POINTS:
        raise JobFileError(f"sweep: has {count:,} points, at most {MAX_POINTS:,} are allowed; take fewer values")
    words = {name: _words(values) for name, values in axes.items()}
    places = zip(*map(range, lengths.values()), strict=True) if together else product(*map(range, lengths.values()))
    return Sweep(
        points=tuple(
            Point(
                fields={name: axes[name][place] for name, place in zip(axes, at, strict=True)},
                tags={name: words[name][place] for name, place in zip(axes, at, strict=True)},
            )
            for at in places
        )
    )


def _words(values: Sequence[object]) -> list[str]:
    """Each value as a tag, told apart by its place where two would read alike."""
    texts = [_word(value) for value in values]
    return [text if texts.count(text) == 1 else f"{text}#{place}" for place, text in enumerate(texts)]


def _word(value: object) -> str:
    """One value: `7.5`, `5`, `euler`, `folder@0.8+other`."""
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, tuple):
        text = "+".join(f"{lora.source}@{_word(lora.scale)}" for lora in value) or "none"
    else:
        text = str(value)
    return " ".join(text.split())[:_LONGEST_TAG]
