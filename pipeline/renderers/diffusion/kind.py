"""The row `diffusers` of the table of renderers."""

import math
from collections.abc import Collection
from typing import Any

from pipeline.model import Model
from pipeline.performance import Levers
from pipeline.ports import Renderer
from pipeline.renderers.diffusion.families import family_of
from pipeline.renderers.diffusion.lever_limits import lever_problem
from pipeline.renderers.diffusion.options import PRECISIONS
from pipeline.renderers.diffusion.resolving import PIXEL_VERSION, resolve_model, resolve_stored
from pipeline.renderers.diffusion.schedulers import scheduler_problem
from pipeline.renderers.diffusion.stored import StoredFiles
from pipeline.request import Variant


class DiffusersKind:
    """Text-to-image pipelines of diffusers."""

    pixel_version = PIXEL_VERSION

    def resolve(self, source: str, **options: Any) -> Model:
        return resolve_model(source, options)

    def resolve_stored(self, source: str, stored: StoredFiles, **options: Any) -> Model:
        """Freeze what was pushed of a model; nothing but the store is asked. Raises: ModelError."""
        return resolve_stored(source, options, stored)

    def lever_problem(self, model: Model, levers: Levers, gpus: Collection[str]) -> tuple[str, str] | None:
        family = family_of(model.pipeline_class)
        return lever_problem(family, levers, gpus=gpus, precision=model.precision, steps=model.steps)

    def problem(self, model: Model, variant: Variant) -> str | None:
        if variant.precision not in PRECISIONS:
            return f"precision must be {', '.join(PRECISIONS)}, got {variant.precision!r}"
        if variant.scheduler:
            problem = scheduler_problem(family_of(model.pipeline_class), model.options, variant.scheduler)
            if problem:
                return problem
        return _guidance_problem(model, variant) or _size_problem(model, variant)

    def count_tokens(self, model: Model, prompt: str) -> int | None:
        from pipeline.renderers.diffusion.tokens import count_tokens

        return count_tokens(model, prompt)

    def load(self, model: Model, *, device: str, threads: int) -> Renderer:
        from pipeline.renderers.diffusion.loading import load_renderer

        return load_renderer(model, device=device, threads=threads)


def _guidance_problem(model: Model, variant: Variant) -> str | None:
    if not math.isfinite(variant.guidance_scale) or variant.guidance_scale < 0:
        return f"guidance_scale must be a number from 0, got {variant.guidance_scale}"
    if model.options.get("guided") == "false" and variant.guidance_scale != 0:
        return f"{model.name} has no guidance, so a scale of {variant.guidance_scale} would do nothing; set it to 0"
    return None


def _size_problem(model: Model, variant: Variant) -> str | None:
    for name, value in (("width", variant.width), ("height", variant.height)):
        if value < model.unit or value % model.unit:
            return f"{name} must be a multiple of {model.unit}, got {value}"
    if variant.width * variant.height > model.max_pixels:
        return f"{variant.width}x{variant.height} is more than {model.max_pixels} pixels"
    if variant.steps < 1:
        return f"steps must be at least 1, got {variant.steps}"
    return None
