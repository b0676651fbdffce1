"""The reader is trusted to score the model only because it reads drawn pictures right."""

import random

import numpy as np
import pytest

from configs.models.shapes_training.draw import draw
from configs.models.shapes_training.grammar import KINDS, Kind, all_pictures
from tests.shapes.reader import read

_PAIRS = {("red", "blue"), ("white", "black"), ("yellow", "white"), ("orange", "red")}


@pytest.mark.parametrize("kind", KINDS)
def test_reader_reads_every_size_and_position_of_a_kind(kind: Kind) -> None:
    """All sizes and positions in four colour pairs, three drawings each, are read right."""
    rng = random.Random(f"reader/{kind}")
    for picture in all_pictures():
        if picture.kind == kind and (picture.colour, picture.background) in _PAIRS:
            for _ in range(3):
                reading = read(draw(picture, rng=rng))
                assert reading is not None
                assert reading.picture == picture
                assert reading.stray == 0.0


def test_reader_reads_every_colour_pair() -> None:
    """One drawing of each pair of colours, of a random kind, size and place, is read right."""
    rng = random.Random("reader/colours")
    pictures = list(all_pictures())
    rng.shuffle(pictures)
    chosen = {(picture.colour, picture.background): picture for picture in pictures}
    for picture in chosen.values():
        reading = read(draw(picture, rng=rng))
        assert reading is not None
        assert reading.picture == picture


def test_reader_bears_slightly_noisy_pixels() -> None:
    """Noise of a few grey levels, as a decoder leaves, changes no reading."""
    rng = random.Random("reader/noise")
    noise = np.random.default_rng(3)
    for picture in rng.sample(list(all_pictures()), 60):
        drawn = draw(picture, rng=rng)
        noisy = np.clip(drawn + noise.normal(0, 5, drawn.shape), 0, 255).astype(np.uint8)
        reading = read(noisy)
        assert reading is not None
        assert reading.picture == picture


def test_reader_sees_nothing_on_a_plain_ground() -> None:
    """A picture of one colour is no shape at all."""
    assert read(np.full((128, 128, 3), 250, dtype=np.uint8)) is None


def test_reader_reports_stray_marks() -> None:
    """A second patch of colour counts as stray, and does not change the reading."""
    picture = next(iter(all_pictures()))
    drawn = draw(picture, rng=random.Random(1))
    drawn[:6, :6] = (250, 250, 250)
    reading = read(drawn)
    assert reading is not None
    assert reading.picture == picture
    assert reading.stray == pytest.approx(36 / 128**2)
