"""Requests for tests."""

from dataclasses import replace
from typing import Any

from pipeline.model import Model
from pipeline.request import Request, Variant
from tests.pipeline.renderers.tiny_parts import SIZE


def variant_of(model: Model, **changes: Any) -> Variant:
    """A quick variant of a model: the tiny size, two steps, all else as the model has it."""
    variant = Variant(
        model=model.revision,
        renderer=model.renderer,
        pixel_version=model.pixel_version,
        precision=model.precision,
        width=SIZE,
        height=SIZE,
        steps=2,
        guidance_scale=model.guidance_scale,
        scheduler=model.scheduler,
    )
    return replace(variant, **changes)


def request_of(model: Model, prompt: str = "a red cat", seed: int = 7, negative: str = "", **changes: Any) -> Request:
    """One request for a tiny model."""
    return Request(prompt=prompt, negative_prompt=negative, seed=seed, variant=variant_of(model, **changes))
