"""Requests and pictures for the tests of image files."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from pipeline.imaging.metadata import Metadata
from pipeline.renderers.scenery import draw_scenery
from pipeline.request import MAX_SEED, Lora, Request, Variant

VARIANT = Variant(
    model="hub:acme/fox@0123456789abcdef0123",
    renderer="diffusers",
    pixel_version=1,
    precision="fp32",
    width=512,
    height=768,
    steps=20,
    guidance_scale=7.0,
    scheduler="euler",
)

PIXELS = draw_scenery(64, 64)

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(
        [
            "🦊👩‍👩‍👧 fox",
            "ثعلب أحمر",
            'a "quoted", back\\slash: x',
            "line\nbreak\r\n\ttab",
            "NUL \0 inside",
            "naïve café",
        ]
    ),
)
"""What prompts hold, and what should trouble an image file."""

finite = st.floats(allow_nan=False, allow_infinity=False)

variants = st.builds(
    Variant,
    model=texts,
    renderer=texts,
    pixel_version=st.integers(0, 99),
    precision=st.sampled_from(["fp32", "fp16", "bf16"]),
    width=st.integers(1, 2**16),
    height=st.integers(1, 2**16),
    steps=st.integers(1, 1000),
    guidance_scale=finite,
    scheduler=texts,
    loras=st.lists(st.builds(Lora, revision=texts, scale=finite, source=texts), max_size=2).map(tuple),
)

requests = st.builds(Request, prompt=texts, negative_prompt=texts, seed=st.integers(0, MAX_SEED), variant=variants)


def request_of(prompt: str = "a red fox", negative: str = "", **changes: Any) -> Request:
    """A request of the plain variant, with changes."""
    return Request(prompt=prompt, negative_prompt=negative, seed=3, variant=replace(VARIANT, **changes))


def metadata_of(request: Request) -> Metadata:
    """What a file of this request carries."""
    return Metadata(request=request, image_id=request.image_id)
