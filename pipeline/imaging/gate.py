"""The output gate: what a broken device or model produces must not count as a picture.

Refused are NaN, another size, and a picture that is one colour all over: no channel varies by more than `FLAT_LEVELS`
of 255 levels anywhere. A decoder that failed gives an exactly constant picture, usually black, while a rendered "plain
white background" still varies by more. The test is exact over all pixels, so a single star on a black sky passes; only
a truly empty picture is taken for a failure, whatever its prompt asked for.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BadOutputError, SafetyBlankedError
from pipeline.ports import Picture

FLAT_LEVELS = 2
"""A picture whose channels each vary by no more than this, of 255, is one colour."""

_STRIDE = 16
"""A first look at every 16th pixel of every 16th row lets almost all pictures pass."""


def inspect(picture: Picture, width: int, height: int) -> None:
    """Return if the picture may be kept.

    Raises:
        SafetyBlankedError: the model's safety checker blanked it.
        BadOutputError: NaN or infinity, not `height` x `width` x 3 bytes, or one colour all over.
    """
    if picture.blanked:
        raise SafetyBlankedError("the model's safety checker blanked the picture: another seed or prompt may pass")
    if not picture.finite:
        raise BadOutputError("the decoder produced NaN or infinity: the precision may be too low for this model")
    pixels = picture.pixels
    if pixels.dtype != np.uint8 or pixels.shape != (height, width, 3):
        raise BadOutputError(
            f"the picture is {pixels.shape} of {pixels.dtype}, asked for was ({height}, {width}, 3) of uint8"
        )
    if _varies(pixels[::_STRIDE, ::_STRIDE]) or _varies(pixels):
        return
    colour = tuple(int(level) for level in pixels[0, 0])
    name = "black" if max(colour) <= FLAT_LEVELS else f"one colour, RGB {colour}"
    raise BadOutputError(f"the picture is {name} all over (no channel varies by more than {FLAT_LEVELS} of 255)")


def _varies(pixels: NDArray[np.uint8]) -> bool:
    """Whether some channel varies by more than `FLAT_LEVELS`. Rows first: that reduction runs at memory speed."""
    rows = pixels.reshape(pixels.shape[0], -1)
    highest = rows.max(axis=0).reshape(-1, 3).max(axis=0)
    lowest = rows.min(axis=0).reshape(-1, 3).min(axis=0)
    return bool((highest - lowest > FLAT_LEVELS).any())
