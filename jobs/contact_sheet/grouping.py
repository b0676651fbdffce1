"""Which images stand together on a contact sheet, in which line and column, and what is written beside them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import groupby

from jobs.committed import Wanted
from jobs.nearest import did_you_mean
from pipeline.errors import JobFileError

PROMPT = "prompt"
"""What `--sheet` says for sheets without axes."""

MOST_COLUMNS = 24
MOST_TOGETHER = 4096
"""Images of one prompt that are looked at together; more of them begin anew."""

_BY_ITSELF = ("seed", "n")
"""Axes that are no tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One image, or a gap."""

    wanted: Wanted | None
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Images in one line."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What stands under one heading."""

    title: str
    note: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What stands across, and what stands down."""

    across: str = ""
    """Empty: images of a prompt simply follow each other."""
    down: str = ""
    columns: tuple[str, ...] = ()
    """The values across, in order."""


def axes_of(text: str, images: Iterable[Wanted]) -> Axes:
    """`prompt`, `guidance_scale` or `steps,guidance_scale` (down, across), looked up among these images.

    Raises:
        JobFileError: no image has such a tag, or it has too many values to stand side by side.
    """
    names = [name.strip().removeprefix("tag:") for name in text.split(",")]
    if names == [PROMPT]:
        return Axes()
    if len(names) > 2 or not all(names) or len(set(names)) < len(names):
        raise JobFileError(f'--sheet: say prompt, one axis, or two such as steps,guidance_scale; got "{text}"')
    values: dict[str, dict[str, None]] = {name: {} for name in names}
    known: set[str] = set(_BY_ITSELF)
    for wanted in images:
        known |= wanted.tags.keys()
        for name in names:
            if name in _BY_ITSELF or name in wanted.tags:
                values[name].setdefault(value_of(wanted, name))
                if name == names[-1] and len(values[name]) > MOST_COLUMNS:
                    raise JobFileError(
                        f"--sheet: {name} has more than {MOST_COLUMNS} values, too many to stand side by side; choose"
                        " fewer images with --tag, or name it first of two: it then stands down"
                    )
                if len(values[name]) > MOST_TOGETHER:
                    raise JobFileError(f"--sheet: {name} has more than {MOST_TOGETHER} values; choose with --tag")
    for name in names:
        if not values[name]:
            hint = did_you_mean(name, known) or f"; there are prompt, {', '.join(sorted(known)[:20])}"
            raise JobFileError(f'--sheet: no image has "{name}"{hint}')
    return Axes(across=names[-1], down=names[0] if len(names) == 2 else "", columns=in_order(values[names[-1]]))


def value_of(wanted: Wanted, axis: str) -> str:
    """Where an image stands on an axis; `-` where it stands nowhere."""
    if axis == "seed":
        return str(wanted.seed)
    return str(wanted.index) if axis == "n" else wanted.tags.get(axis, "-")


def in_order(values: Iterable[str]) -> tuple[str, ...]:
    """Numbers by size, and where there is a word among them all as they came."""
    found = tuple(values)
    try:
        return tuple(sorted(found, key=Decimal))
    except InvalidOperation:
        return found


def groups(images: Iterable[Wanted], axes: Axes, *, columns: int) -> Iterator[Group]:
    """The images of each prompt, in manifest order; memory is that of the records of one prompt.

    Args:
        images: in manifest order; what stands together follows each other there.
        axes: of the sheet.
        columns: how many stand side by side where there are no axes.
    """
    for prompt, same in groupby(images, key=lambda wanted: wanted.prompt):
        for some in _some(same):
            if axes.down:
                yield from _tables(prompt, some, axes)
            elif axes.across:
                yield _lines(prompt, some, axes)
            else:
                yield _sequence(prompt, some, columns)


def _some(images: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    """At most `MOST_TOGETHER` at a time."""
    some: list[Wanted] = []
    for wanted in images:
        some.append(wanted)
        if len(some) == MOST_TOGETHER:
            yield some
            some = []
    if some:
        yield some


def _sequence(prompt: str, some: list[Wanted], columns: int) -> Group:
    """One after the other, each labelled by what tells it from the others."""
    varying = _varying(some)
    cells = [Cell(wanted=wanted, label=_differences(wanted, varying) or _called(wanted)) for wanted in some]
    lines = [Line(label="", cells=tuple(cells[start : start + columns])) for start in range(0, len(cells), columns)]
    return Group(title=prompt, note=_note(some, varying), lines=tuple(lines))


def _lines(prompt: str, some: list[Wanted], axes: Axes) -> Group:
    """A line for each combination of everything that is not on the axis."""
    varying = [name for name in _varying(some) if name != axes.across]
    lines = [
        _line(_differences(same[0], varying), same, axes)
        for same in _together(some, lambda wanted: (_differences(wanted, varying), wanted.row * (not varying)))
    ]
    return Group(title=prompt, note=_note(some, [*varying, axes.across]), lines=tuple(lines))


def _tables(prompt: str, some: list[Wanted], axes: Axes) -> Iterator[Group]:
    """A table for each combination of everything that is on neither axis."""
    varying = [name for name in _varying(some) if name not in {axes.across, axes.down}]
    for same in _together(some, lambda wanted: (_differences(wanted, varying), 0)):
        by_value = {value_of(group[0], axes.down): group for group in _by(same, axes.down)}
        lines = tuple(_line(f"{axes.down} {value}", by_value[value], axes) for value in in_order(by_value))
        yield Group(title=prompt, note=_differences(same[0], varying) or _note(same, [axes.across]), lines=lines)


def _line(label: str, same: list[Wanted], axes: Axes) -> Line:
    """Each image in its column; of several the first."""
    by_value: dict[str, Wanted] = {}
    for wanted in same:
        by_value.setdefault(value_of(wanted, axes.across), wanted)
    return Line(label=label, cells=tuple(Cell(wanted=by_value.get(value)) for value in axes.columns))


def _together(some: list[Wanted], key: object) -> list[list[Wanted]]:
    """Images of one key, in the order of their first ones."""
    found: dict[object, list[Wanted]] = {}
    for wanted in some:
        found.setdefault(key(wanted), []).append(wanted)  # type: ignore[operator]
    return list(found.values())


def _by(some: list[Wanted], axis: str) -> list[list[Wanted]]:
    """Images of one value of an axis."""
    return _together(some, lambda wanted: value_of(wanted, axis))


def _varying(some: list[Wanted]) -> list[str]:
    """The tags, and the seed, in which these images differ."""
    tags = sorted({name for wanted in some for name in wanted.tags})
    return [name for name in dict.fromkeys((*tags, "seed")) if len({value_of(wanted, name) for wanted in some}) > 1]


def _differences(wanted: Wanted, varying: list[str]) -> str:
    """`guidance_scale 7.5, seed 3`."""
    return ", ".join(f"{name} {value_of(wanted, name)}" for name in varying)


def _called(wanted: Wanted) -> str:
    """How its row is called."""
    return wanted.custom_id or f"row {wanted.row}"


def _note(some: list[Wanted], varying: list[str]) -> str:
    """What all of them share, as far as it is worth a word."""
    first = some[0]
    parts = [] if first.custom_id is None or len({one.custom_id for one in some}) > 1 else [first.custom_id]
    if "seed" not in varying and len({one.seed for one in some}) == 1:
        parts.append(f"seed {first.seed}")
    return ", ".join(parts)
