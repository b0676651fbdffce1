"""Draws a :class:`Picture` with smooth edges and a little jitter, as training data."""

import math
import random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from configs.models.shapes_training.grammar import PALETTE, Kind, Picture, Position, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 128
"""Width and height of a training picture, in pixels."""

RADIUS: dict[Size, float] = {"small": 0.13, "medium": 0.175, "large": 0.25}
"""Half the extent of a shape, as a share of the picture's side."""

OFFSET: dict[Position, tuple[float, float]] = {
    "center": (0.0, 0.0),
    "top": (0.0, -0.215),
    "bottom": (0.0, 0.215),
    "left": (-0.215, 0.0),
    "right": (0.215, 0.0),
}
"""How far a shape's centre lies from the picture's, as shares of the side, x and y."""

_SHIFT_JITTER = 0.02
_RADIUS_JITTER = 0.01
_SUPERSAMPLING = 4
_STAR_INNER = 0.42


def draw(picture: Picture, *, rng: random.Random, side: int = SIDE) -> "NDArray[np.uint8]":
    """Return ``picture`` as an RGB array of shape (side, side, 3).

    ``rng`` decides the jitter: up to 2 % of the side in place, up to 1 % in radius.
    """
    fine = side * _SUPERSAMPLING
    dx, dy = OFFSET[picture.position]
    x = (0.5 + dx + rng.uniform(-_SHIFT_JITTER, _SHIFT_JITTER)) * fine
    y = (0.5 + dy + rng.uniform(-_SHIFT_JITTER, _SHIFT_JITTER)) * fine
    radius = (RADIUS[picture.size] + rng.uniform(-_RADIUS_JITTER, _RADIUS_JITTER)) * fine
    mask = Image.new("L", (fine, fine), 0)
    pen = ImageDraw.Draw(mask)
    if picture.kind == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    else:
        pen.polygon([(x + radius * u, y + radius * v) for u, v in _outline(picture.kind)], fill=255)
    share = np.asarray(mask.reduce(_SUPERSAMPLING), dtype=np.float32)[..., None] / 255.0
    shape, ground = (np.array(PALETTE[c], np.float32) for c in (picture.colour, picture.background))
    return np.rint(ground + (shape - ground) * share).astype(np.uint8)


def _outline(kind: Kind) -> list[tuple[float, float]]:
    """Return a shape's corners about its middle; its larger half-extent is about 1."""
    if kind == "square":
        half = 0.88
        return [(-half, -half), (half, -half), (half, half), (-half, half)]
    if kind == "triangle":
        return [(0.0, -0.92), (1.0, 0.82), (-1.0, 0.82)]
    turns = (math.pi * i / 5 for i in range(10))
    reach = (1.05 if i % 2 == 0 else 1.05 * _STAR_INNER for i in range(10))
    return [(r * math.sin(t), 0.1 - r * math.cos(t)) for r, t in zip(reach, turns, strict=True)]
