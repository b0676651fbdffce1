"""Requests of the stand-in renderer, for baselines that make the very pictures that a job makes."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.assignment import Output
from pipeline.imaging.encode import encode, extension
from pipeline.imaging.metadata import Metadata
from pipeline.layout import image_key
from pipeline.ports import Picture, Renderer
from pipeline.renderers.synthetic import SyntheticKind
from pipeline.request import Request, Variant

BATCH = 8
"""Images of one batch, on both sides."""


def prompts(count: int) -> list[str]:
    """Prompts that are all different."""
    return [f"picture {number} of a benchmark" for number in range(count)]


def stand_in(*, side: int, seconds_per_batch: float = 0.0) -> Renderer:
    """The stand-in renderer, loaded."""
    kind = SyntheticKind()
    options = {"width": side, "height": side, "batch_size": BATCH, "seconds_per_batch": seconds_per_batch}
    renderer: Renderer = kind.load(kind.resolve("synthetic", **options), device="cpu", threads=1)
    return renderer


def request(prompt: str, *, side: int) -> Request:
    """One request."""
    variant = Variant(
        model="synthetic:1",
        renderer="synthetic",
        pixel_version=1,
        precision="fp32",
        width=side,
        height=side,
        steps=1,
        guidance_scale=0.0,
        scheduler="",
    )
    return Request(prompt=prompt, negative_prompt="", seed=0, variant=variant)


def batches(prompts: Sequence[str], *, side: int) -> Iterator[list[Request]]:
    """The requests of these prompts, a batch at a time."""
    for start in range(0, len(prompts), BATCH):
        yield [request(prompt, side=side) for prompt in prompts[start : start + BATCH]]


def made_file(asked: Request, picture: Picture) -> tuple[str, bytes]:
    """Key and bytes of a picture's file, made as a worker makes them."""
    output = Output()
    image_id = asked.image_id
    body = encode(picture.pixels, output, Metadata(request=asked, image_id=image_id))
    return image_key(image_id, hashlib.sha256(body).hexdigest(), extension(output)), body


def job_values(*, side: int, seconds_per_batch: float = 0.0) -> dict[str, Any]:
    """What a job file says of these requests."""
    return {
        "model": "synthetic",
        "model_options": {"seconds_per_batch": seconds_per_batch, "batch_size": BATCH, "width": side, "height": side},
        "workers": 1,
    }
