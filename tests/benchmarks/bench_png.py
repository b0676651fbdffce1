"""f. Encoding a 1024x1024 photo-like picture as PNG, over Pillow at its default."""

import io
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.assignment import Output
from pipeline.imaging import png
from pipeline.imaging.encode import encode
from pipeline.imaging.metadata import Metadata
from pipeline.imaging.png import Pixels
from pipeline.renderers.scenery import draw_scenery
from pipeline.request import Request, Variant
from tests.benchmarks.figures import Figure, Scale, Section, spread

METHOD = """One RGB picture of 1024x1024, drawn with the statistics of a photograph: noise in octaves, gradients, hard
edges, and grain of three strengths, which is what decides how well a photograph compresses. Each is encoded in one
thread, in turns, to bytes in memory; every file of ours is decoded by Pillow and compared with the picture."""

GRAINS = {"clean": 1.5, "usual": 3.0, "noisy": 6.0}
"""Levels of noise from pixel to pixel."""
SMALL_PICTURES = 200
"""64x64 pictures are encoded so many at a time."""


def run(folder: Path, scale: Scale) -> Section:
    """Ours, Pillow at its default, and Pillow at its fastest, in turns."""
    side, rounds = scale.pick(1024, 64), scale.rounds_or(7)
    figures, notes = [], []
    for name, levels in GRAINS.items():
        pixels = draw_scenery(side, side, grain=levels)
        same_pixels(png.encode(pixels), pixels)
        ways: dict[str, Callable[[], bytes]] = {
            "ours": partial(png.encode, pixels),
            "default": partial(pillow, pixels),
            "fastest": partial(pillow, pixels, compress_level=1),
        }
        paces = in_turns(ways, rounds)
        sizes = {way: len(encoder()) for way, encoder in ways.items()}
        figures += [
            Figure(
                name=f"encoding, {name} picture",
                unit="images/s",
                ours=paces["ours"],
                baseline=paces["default"],
                baseline_name="Pillow",
                limit=15.0,
                at_least=True,
            ),
            Figure(
                name=f"size, {name} picture",
                unit="bytes",
                ours=(sizes["ours"],),
                baseline=(sizes["default"],),
                baseline_name="Pillow",
                limit=1.2,
                at_least=False,
            ),
        ]
        notes.append(
            f"Pillow with compress_level=1, {name} picture: {spread(paces['fastest'])} images/s, "
            f"{sizes['fastest'] / sizes['default']:.3f} of its default's bytes."
        )
    small = in_turns({"ours": small_picture()}, rounds, repeat=SMALL_PICTURES)["ours"]
    notes.append(
        f"64x64 with the request inside, as benchmark c writes them: {spread([1e6 / pace for pace in small])} "
        "microseconds an image."
    )
    return Section(key="f", title="PNG", method=METHOD, figures=tuple(figures), notes=tuple(notes))


def pillow(pixels: Pixels, **options: int) -> bytes:
    """What a user would write."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def same_pixels(body: bytes, pixels: Pixels) -> None:
    """Raises: AssertionError: the file does not decode to the picture."""
    with Image.open(io.BytesIO(body)) as image:
        assert np.array_equal(np.asarray(image), pixels)


def in_turns(
    ways: Mapping[str, Callable[[], bytes]], rounds: range, *, repeat: int = 1
) -> dict[str, tuple[float, ...]]:
    """Images per second of each way, round by round."""
    paces: dict[str, list[float]] = {name: [] for name in ways}
    for _ in rounds:
        for name, encoder in ways.items():
            started = time.perf_counter()
            for _ in range(repeat):
                encoder()
            paces[name].append(repeat / (time.perf_counter() - started))
    return {name: tuple(values) for name, values in paces.items()}


def small_picture() -> Callable[[], bytes]:
    """Encodes a 64x64 picture with its metadata."""
    variant = Variant(
        model="synthetic:1",
        renderer="synthetic",
        pixel_version=1,
        precision="fp32",
        width=64,
        height=64,
        steps=1,
        guidance_scale=0.0,
        scheduler="",
    )
    request = Request(prompt="a red fox in the snow, golden hour", negative_prompt="", seed=1, variant=variant)
    return partial(encode, draw_scenery(64, 64), Output(), Metadata(request=request, image_id=request.image_id))
