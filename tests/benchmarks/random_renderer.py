"""Our renderer around a model of the true architecture with random weights, and requests for it."""

from collections.abc import Sequence
from typing import Any

import torch

from pipeline.model import Model
from pipeline.performance import Levers
from pipeline.renderers.diffusion.applying import apply_levers
from pipeline.renderers.diffusion.compilation import compilation_of
from pipeline.renderers.diffusion.renderer import DiffusersRenderer
from pipeline.request import Request, Variant
from tests.benchmarks.true_models import TrueModel

PRECISION = {"cuda": ("bf16", torch.bfloat16), "cpu": ("fp32", torch.float32)}
"""Device -> precision and torch's type."""


class _GivenTexts:
    """In place of the text cache of a model without text encoders."""

    def __init__(self, model: TrueModel, *, device: str, dtype: torch.dtype) -> None:
        self._model, self._device, self._dtype = model, device, dtype

    def arguments(self, batch: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Embeddings, a row for each request."""
        return self._model.texts(len(batch), device=self._device, dtype=self._dtype)

    def expect(self, requests: Sequence[Any]) -> None:
        """There is nothing to encode."""


def random_model(true: TrueModel, *, device: str, tiny: bool, batch: int) -> Model:
    """The frozen model.

    Args:
        true: the architecture.
        device: `cuda`, or `cpu` for a trial.
        tiny: a small stand-in for the architecture.
        batch: images at a time.
    """
    side = 64 if tiny else true.side
    return Model(
        name="random",
        renderer="diffusers",
        pixel_version=1,
        source="",
        revision="random",
        pipeline_class=next(iter(true.family_of().pipelines)),
        precision=PRECISION[device][0],
        unit=8,
        width=side,
        height=side,
        steps=28,
        guidance_scale=true.guidance,
        scheduler="",
        batch_size=batch,
    )


def random_renderer(true: TrueModel, model: Model, levers: Levers, *, device: str, tiny: bool) -> DiffusersRenderer:
    """The model on the device, its levers pulled as a worker pulls them; it compiles before its first batch if told."""
    dtype = PRECISION[device][1]
    with torch.device(device):
        pipe = true.build(tiny).to(dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    family = true.family_of()
    pulled = apply_levers(pipe, family, levers, device=device, steps=model.steps)
    compilation = compilation_of(pipe, family, model, levers, device=device, pulled=pulled)
    renderer = DiffusersRenderer(pipe, model, device=device, threads=0, levers=pulled, compilation=compilation)
    renderer._texts = _GivenTexts(true, device=device, dtype=dtype)  # type: ignore[assignment]  # noqa: SLF001 - no encoders
    return renderer


def random_request(model: Model, seed: int, *, steps: int) -> Request:
    """One image of the model's own size."""
    variant = Variant(
        model=model.revision,
        renderer=model.renderer,
        pixel_version=1,
        precision=model.precision,
        width=model.width,
        height=model.height,
        steps=steps,
        guidance_scale=model.guidance_scale,
        scheduler="",
    )
    return Request(prompt="x", negative_prompt="", seed=seed, variant=variant)
