"""A picture with the statistics of a photograph, drawn from a seed: what encoders are exercised and measured with.

Noise in octaves whose contrast grows with their size (as in photographs), a sky that darkens, objects with hard edges,
and grain. Drawn from a generator whose stream numpy guarantees, with arithmetic that rounds the same everywhere.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

_LARGEST_CELL = 256
"""Pixels between the grid points of the coarsest octave; each next one has half."""
_OBJECTS = 12


def draw_scenery(width: int, height: int, *, seed: int = 0, grain: float = 3.0) -> NDArray[np.uint8]:
    """A photo-like RGB picture, height x width x 3.

    Args:
        width: pixels.
        height: pixels.
        seed: another seed, another picture.
        grain: levels of noise from pixel to pixel; 1.5 is a clean photograph, 6 a night's.
    """
    uniform = _uniform(np.random.PCG64(seed))
    picture = np.full((height, width, 3), 128, np.float32)
    cell = _LARGEST_CELL
    while cell > 1:
        light, colour = _octave(uniform, (height, width, 1), cell), _octave(uniform, (height, width, 3), cell)
        picture += (light + np.float32(0.2) * colour) * np.float32(1.5 * cell**0.75)
        cell //= 2
    picture += np.linspace(40, -40, height, dtype=np.float32)[:, None, None]
    _add_objects(uniform, picture)
    for channels, share in ((1, 0.92), (3, 0.4)):
        # a sum of four uniform numbers is close enough to a normal one
        noise = uniform((4, height, width, channels)).sum(axis=0) - np.float32(2)
        picture += noise * np.float32(grain * share * 3**0.5)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _uniform(bits: np.random.PCG64) -> Callable[[tuple[int, ...]], Plane]:
    """Numbers from 0 to 1 in a shape, out of the raw stream of `bits`."""

    def draw(shape: tuple[int, ...]) -> Plane:
        count = int(np.prod(shape))
        raw = np.atleast_1d(bits.random_raw(-(-count // 4))).view(np.uint16)[:count]
        return (raw.astype(np.float32) * np.float32(2**-16)).reshape(shape)

    return draw


def _octave(uniform: Callable[[tuple[int, ...]], Plane], shape: tuple[int, int, int], cell: int) -> Plane:
    """Noise from -0.5 to 0.5 on a grid of `cell` pixels, linear in between."""
    height, width, channels = shape
    grid = uniform((height // cell + 2, width // cell + 2, channels)) - np.float32(0.5)
    rows, down = _positions(height, cell)
    columns, across = _positions(width, cell)
    tall: Plane = grid[rows] * (1 - down)[:, None, None] + grid[rows + 1] * down[:, None, None]
    octave: Plane = tall[:, columns] * (1 - across)[:, None] + tall[:, columns + 1] * across[:, None]
    return octave


def _positions(length: int, cell: int) -> tuple[NDArray[np.intp], Plane]:
    """Of each pixel: the grid point before it, and how far it is to the next, from 0 to 1."""
    places = np.arange(length)
    return places // cell, (places % cell).astype(np.float32) / np.float32(cell)


def _add_objects(uniform: Callable[[tuple[int, ...]], Plane], picture: Plane) -> None:
    """Discs of another brightness and colour, with hard edges."""
    height, width, _ = picture.shape
    down, across = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    for y, x, size, *tint in uniform((_OBJECTS, 6)).tolist():
        inside = (down - y * height) ** 2 + (across - x * width) ** 2 < ((0.03 + 0.15 * size) * min(height, width)) ** 2
        picture[inside] += (np.array(tint, np.float32) - np.float32(0.5)) * 90
