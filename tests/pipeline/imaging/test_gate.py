"""The output gate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadOutputError, SafetyBlankedError
from pipeline.imaging.gate import FLAT_LEVELS, inspect
from pipeline.imaging.png import Pixels
from pipeline.ports import Picture
from pipeline.renderers.scenery import draw_scenery

LEVELS = st.integers(0, 255)


def flat(colour: tuple[int, int, int], width: int = 64, height: int = 48) -> Pixels:
    """One colour all over."""
    return np.full((height, width, 3), colour, np.uint8)


def look(pixels: Pixels) -> None:
    """Inspect a picture of the size that was asked for."""
    inspect(Picture(pixels=pixels), 64, 48)


def test_a_photograph_passes() -> None:
    """The common case."""
    look(draw_scenery(64, 48))


def test_black_is_refused_by_name() -> None:
    """The classic failure of half precision."""
    with pytest.raises(BadOutputError, match="the picture is black all over"):
        look(flat((0, 0, 0)))


@given(st.tuples(LEVELS, LEVELS, LEVELS), st.integers(0, 2**32 - 1))
def test_every_single_colour_is_refused(colour: tuple[int, int, int], seed: int) -> None:
    """Also when its levels flicker within the tolerance."""
    flicker = np.random.default_rng(seed).integers(0, FLAT_LEVELS + 1, (48, 64, 3), dtype=np.uint8)
    with pytest.raises(BadOutputError, match="all over"):
        look(np.minimum(flat(colour), 255 - FLAT_LEVELS) + flicker)


@given(
    st.tuples(LEVELS, LEVELS, LEVELS), st.integers(0, 47), st.integers(0, 63), st.integers(0, 2), st.integers(3, 252)
)
def test_one_deviating_pixel_is_a_picture(
    colour: tuple[int, int, int], y: int, x: int, channel: int, change: int
) -> None:
    """A single star in an empty sky is kept, wherever it stands and however faint it is beyond the tolerance."""
    pixels = flat(colour)
    level = int(pixels[y, x, channel])
    pixels[y, x, channel] = level + change if level + change <= 255 else max(0, level - change)
    if abs(int(pixels[y, x, channel]) - level) > FLAT_LEVELS:
        look(pixels)


def test_a_picture_that_only_varies_in_colour_passes() -> None:
    """Red beside green of the same brightness is no failure."""
    pixels = flat((200, 0, 0))
    pixels[:, 32:] = (0, 200, 0)
    look(pixels)


def test_not_a_number_is_refused_whatever_the_pixels() -> None:
    """Bytes show no NaN, so the decoder's word counts."""
    with pytest.raises(BadOutputError, match="NaN"):
        inspect(Picture(pixels=draw_scenery(64, 48), finite=False), 64, 48)


def test_a_blanked_picture_has_its_own_outcome() -> None:
    """The safety checker's black picture is not mistaken for a broken one."""
    with pytest.raises(SafetyBlankedError):
        inspect(Picture(pixels=flat((0, 0, 0)), blanked=True), 64, 48)


@pytest.mark.parametrize(
    "pixels",
    [
        draw_scenery(48, 64),
        draw_scenery(64, 47),
        draw_scenery(64, 48)[..., :1],
        draw_scenery(64, 48).astype(np.float32),
    ],
    ids=["turned", "short", "grey", "floats"],
)
def test_another_size_or_type_is_refused(pixels: Pixels) -> None:
    """The message names both sizes."""
    with pytest.raises(BadOutputError, match=r"asked for was \(48, 64, 3\) of uint8"):
        look(pixels)
