"""One pass through a pipeline: embeddings and generators in, latents out; or whole pictures of an unknown pipeline."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from pipeline.errors import BadRequestError, HandedBackError
from pipeline.ports import Picture
from pipeline.renderers.diffusion.decoding import bins_resolution
from pipeline.renderers.diffusion.families import Family
from pipeline.renderers.diffusion.guidance import ending_guidance
from pipeline.renderers.diffusion.schedulers import SCHEDULERS
from pipeline.request import Request, Variant

T = TypeVar("T")

WHOLE_CALL = ("prompt", "height", "width", "num_inference_steps", "guidance_scale", "generator", "output_type")
"""Arguments that the call of a pipeline must have if we know nothing else of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """What `denoise` hands to `decode`."""

    variant: Variant
    count: int
    """Images of the batch, the padding not counted."""
    values: torch.Tensor | None
    """Latents of the whole batch, the padding included, written in full; None when `pictures` are there already."""
    pictures: tuple[Picture, ...] = ()
    """Of a pipeline that decodes for itself."""
    text_dtype: torch.dtype = torch.float32
    """Type of the embeddings, in which a safety checker looks at the pictures."""


def draw_latents(
    pipe: Any,
    family: Family,
    own_scheduler: Any,
    embeddings: Mapping[str, torch.Tensor],
    batch: Sequence[Request],
    *,
    interrupted: Callable[[], bool],
) -> torch.Tensor:
    """Denoise one batch: a row per request, each from a generator of its own.

    Raises:
        HandedBackError: `interrupted` says so before one of the steps.
    """
    variant = batch[0].variant
    arguments: dict[str, Any] = dict(embeddings) | _common(variant)
    if family.name == "pixart":
        arguments |= {"negative_prompt": None, "use_resolution_binning": bins_resolution(pipe)}

    arguments |= ending_guidance(family, variant)

    def draw() -> torch.Tensor:
        pipe.scheduler = stoppable(scheduler_for(own_scheduler, variant.scheduler), interrupted)
        generators = [generator(request) for request in batch]
        latents: torch.Tensor = pipe(**arguments, generator=generators, output_type="latent", return_dict=False)[0]
        return latents

    return undisturbed(pipe, draw, torch.equal)


def draw_whole(pipe: Any, own_scheduler: Any, request: Request) -> Picture:
    """One picture by a pipeline's own call, for pipelines of no family that we know: alone, so without neighbours."""
    arguments = {"prompt": request.prompt, "output_type": "np", **_common(request.variant)}
    if request.negative_prompt:
        if "negative_prompt" not in inspect.signature(pipe.__call__).parameters:
            raise BadRequestError(f"{type(pipe).__name__} takes no negative prompt; leave it out")
        arguments["negative_prompt"] = request.negative_prompt

    def draw() -> Picture:
        if own_scheduler is not None:
            pipe.scheduler = scheduler_for(own_scheduler, request.variant.scheduler)
        drawn = pipe(**arguments, generator=generator(request))
        image = np.asarray(drawn.images[0], dtype=np.float32)
        flags = getattr(drawn, "nsfw_content_detected", None)
        pixels = (np.nan_to_num(image) * 255).round().astype(np.uint8)
        return Picture(pixels=pixels, finite=bool(np.isfinite(image).all()), blanked=bool(flags and flags[0]))

    return undisturbed(pipe, draw, lambda first, second: np.array_equal(first.pixels, second.pixels))


def generator(request: Request) -> torch.Generator:
    """The image's own source of noise: on the CPU, whose numbers depend on nothing but the seed."""
    return torch.Generator("cpu").manual_seed(request.seed)


def scheduler_for(own: Any, name: str) -> Any:
    """A fresh scheduler: the model's own, or the one of this name with the model's own configuration."""
    import diffusers

    if not name:
        return type(own).from_config(own.config)
    row = SCHEDULERS[name]
    return getattr(diffusers, row.class_name).from_config(own.config, **row.changes)


def stoppable(scheduler: Any, interrupted: Callable[[], bool]) -> Any:
    """The scheduler, which raises HandedBackError at its next step once it is interrupted."""
    step = scheduler.step

    @functools.wraps(step)  # pipelines look at the parameters of `step`
    def checked(*arguments: Any, **named: Any) -> Any:
        if interrupted():
            raise HandedBackError("the batch was interrupted between two steps")
        return step(*arguments, **named)

    scheduler.step = checked
    return scheduler


def undisturbed(pipe: Any, draw: Callable[[], T], same: Callable[[T, T], bool]) -> T:
    """Draw, and make sure that nothing came from the global generator.

    Another thread may have moved it, so a moved one is only a suspicion: then the batch is drawn again, and the same
    result acquits the pipeline.

    Raises:
        BadRequestError: pipeline or scheduler draws from the global generator.
    """
    before = _global_state(pipe)
    drawn = draw()
    if _unmoved(before, _global_state(pipe)) or same(drawn, draw()):
        return drawn
    raise BadRequestError(
        f"{type(pipe).__name__} with {type(pipe.scheduler).__name__} draws from the global generator, so that a seed "
        "does not determine its image; use another scheduler"
    )


def _common(variant: Variant) -> dict[str, Any]:
    return {
        "height": variant.height,
        "width": variant.width,
        "num_inference_steps": variant.steps,
        "guidance_scale": variant.guidance_scale,
    }


def _global_state(pipe: Any) -> list[torch.Tensor]:
    states = [torch.get_rng_state()]
    if pipe.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(pipe.device))
    return states


def _unmoved(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    return all(torch.equal(first, second) for first, second in zip(before, after, strict=True))
