"""Reads a picture of one shape by plain geometry: no model, nothing learnt.

The thresholds lie halfway between what :mod:`configs.models.shapes_training.draw`
draws for neighbouring words of the grammar.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from configs.models.shapes_training.grammar import (
    COLOURS,
    PALETTE,
    Colour,
    Kind,
    Picture,
    Position,
    Size,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMALLEST_SHARE = 0.004
_CENTRE_REACH = 0.1075
_SMALL_BELOW = 0.1525
_LARGE_FROM = 0.2125
_SQUARE_HALF = 0.88


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a picture shows, and how clear it is."""

    picture: Picture
    """The nearest combination of the grammar."""
    stray: float
    """Share of all pixels outside the shape that are not the background's colour."""


def read(pixels: "NDArray[np.uint8]") -> Reading | None:
    """Read an RGB array of shape (h, w, 3); None where there is no shape on a ground."""
    names = _nearest_colours(pixels)
    border = np.concatenate([names[0], names[-1], names[1:-1, 0], names[1:-1, -1]])
    ground = _commonest(border)
    body = _largest_piece(names != ground)
    if body.mean() < _SMALLEST_SHARE or body.mean() > 0.6:
        return None
    ink = _commonest(names[body])
    if ink == ground:
        return None
    mask = _largest_piece(_nearer_to(pixels, COLOURS[ink], than=COLOURS[ground]))
    if mask.mean() < _SMALLEST_SHARE:
        return None
    kind = _kind(mask)
    picture = Picture(
        kind=kind,
        colour=COLOURS[ink],
        background=COLOURS[ground],
        size=_size(mask, kind),
        position=_position(mask),
    )
    stray = (names != ground) & ~_grown(_grown(mask))
    return Reading(picture=picture, stray=float(stray.mean()))


def _nearest_colours(pixels: "NDArray[np.uint8]") -> "NDArray[np.intp]":
    """Return each pixel's nearest palette colour, as an index into ``COLOURS``."""
    palette = np.array([PALETTE[colour] for colour in COLOURS], dtype=np.float64)
    distance = np.square(pixels[:, :, None, :].astype(np.float64) - palette).sum(axis=3)
    return np.asarray(distance.argmin(axis=2))


def _nearer_to(pixels: "NDArray[np.uint8]", ink: Colour, *, than: Colour) -> "NDArray[np.bool_]":
    """Mark the pixels that lie past the middle of the way from ``than`` to ``ink``."""
    start, end = (np.array(PALETTE[colour], dtype=np.float64) for colour in (than, ink))
    way = end - start
    return np.asarray(((pixels - start) @ way) / (way @ way) > 0.5)


def _commonest(values: "NDArray[np.intp]") -> int:
    """Return the value that occurs most often."""
    return int(np.bincount(values.ravel(), minlength=len(COLOURS)).argmax())


def _largest_piece(mask: "NDArray[np.bool_]") -> "NDArray[np.bool_]":
    """Keep only the largest 4-connected piece of ``mask``."""
    best = np.zeros_like(mask)
    left = mask.copy()
    height, width = mask.shape
    while left.any():
        row, column = np.unravel_index(int(left.argmax()), mask.shape)
        piece = np.zeros_like(mask)
        stack = [(int(row), int(column))]
        left[row, column] = False
        while stack:
            y, x = stack.pop()
            piece[y, x] = True
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < height and 0 <= u < width and left[v, u]:
                    left[v, u] = False
                    stack.append((v, u))
        if piece.sum() > best.sum():
            best = piece
    return best


def _grown(mask: "NDArray[np.bool_]") -> "NDArray[np.bool_]":
    """Grow ``mask`` by one pixel to every side."""
    wide = np.pad(mask, 1)
    grown = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return np.asarray(grown)


def _box(mask: "NDArray[np.bool_]") -> tuple[int, int, int, int]:
    """Return the bounding box as top, bottom, left, right; bottom and right are past the end."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _kind(mask: "NDArray[np.bool_]") -> Kind:
    """Tell a star by its notches, and the others by how much of their box they fill.

    A star fills 52 % of its convex hull and the others all of it; of their boxes a
    square fills 100 %, a circle 79 % and a triangle 50 %.
    """
    area = float(mask.sum())
    if area / _hull_area(mask) < 0.76:
        return "star"
    top, bottom, left, right = _box(mask)
    fill = area / ((bottom - top) * (right - left))
    if fill > 0.895:
        return "square"
    return "circle" if fill > 0.645 else "triangle"


def _hull_area(mask: "NDArray[np.bool_]") -> float:
    """Return the area of the convex hull around the corners of the mask's pixels."""
    points = sorted(
        {
            (x, y)
            for row in np.flatnonzero(mask.any(axis=1)).tolist()
            for x in (int(mask[row].argmax()), mask.shape[1] - int(mask[row, ::-1].argmax()))
            for y in (row, row + 1)
        }
    )
    hull = [*_half_hull(points), *_half_hull(points[::-1])]
    doubled = sum(x * v - u * y for (x, y), (u, v) in zip(hull, [*hull[1:], hull[0]], strict=True))
    return abs(doubled) / 2


def _half_hull(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return one side of the hull of sorted points, without its last point."""
    side: list[tuple[int, int]] = []
    for x, y in points:
        while len(side) > 1:
            (a, b), (c, d) = side[-2:]
            if (c - a) * (y - b) - (d - b) * (x - a) > 0:
                break
            side.pop()
        side.append((x, y))
    return side[:-1]


def _size(mask: "NDArray[np.bool_]", kind: Kind) -> Size:
    """Class the larger half-extent, as a share of the picture's side."""
    top, bottom, left, right = _box(mask)
    half = max((bottom - top) / mask.shape[0], (right - left) / mask.shape[1]) / 2
    if kind == "square":
        half /= _SQUARE_HALF
    if half < _SMALL_BELOW:
        return "small"
    return "large" if half >= _LARGE_FROM else "medium"


def _position(mask: "NDArray[np.bool_]") -> Position:
    """Name the side that the box's middle lies towards, if it is far enough from the centre."""
    top, bottom, left, right = _box(mask)
    dx = (left + right) / 2 / mask.shape[1] - 0.5
    dy = (top + bottom) / 2 / mask.shape[0] - 0.5
    if max(abs(dx), abs(dy)) < _CENTRE_REACH:
        return "center"
    if abs(dx) > abs(dy):
        return "left" if dx < 0 else "right"
    return "top" if dy < 0 else "bottom"
