"""Guidance that ends before the last step: late steps change little of what it asked for, and cost half without it."""

from typing import Any

import torch

from pipeline.renderers.diffusion.families import Family
from pipeline.request import Variant

_EMBEDDINGS = {
    "sd": ("prompt_embeds",),
    "sdxl": ("prompt_embeds", "add_text_embeds", "add_time_ids"),
    "sd3": ("prompt_embeds", "pooled_prompt_embeds"),
}
"""What the pipeline's loop holds twice over while it is guided: the negative half first."""


def ending_guidance(family: Family, variant: Variant) -> dict[str, Any]:
    """Arguments of the pipeline's call by which guidance ends after `guidance_until` of the steps; none for 1."""
    names = _EMBEDDINGS.get(family.name, ())
    last = round(variant.steps * variant.guidance_until)
    if variant.guidance_until >= 1.0 or not names or variant.guidance_scale <= 1:
        return {}

    def end(pipe: Any, step: int, _timestep: Any, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if step + 1 != max(1, last):
            return {}
        pipe._guidance_scale = 0.0  # noqa: SLF001 - how the documentation of diffusers ends guidance in a callback
        return {name: values[name].chunk(2)[-1] for name in names}

    return {"callback_on_step_end": end, "callback_on_step_end_tensor_inputs": list(names)}
