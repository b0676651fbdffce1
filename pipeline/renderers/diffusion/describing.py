"""What a model's JSON configurations say of it: sizes, limits, its own scheduler, whether it is guided."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import ModelError
from pipeline.renderers.diffusion.families import NOT_TEXT_TO_IMAGE, Family, family_of
from pipeline.renderers.diffusion.files import INDEX, ModelFiles, components, read_json
from pipeline.renderers.diffusion.schedulers import is_flow

_NO_LIMIT = 100_000
"""Tokenizers without a limit write an astronomic number."""

_STOCHASTIC_VAES = ("ConsistencyDecoderVAE",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One model as its configurations describe it."""

    family: Family
    pipeline_class: str
    unit: int
    """Width and height must be multiples of this many pixels."""
    width: int
    """Default width, pixels."""
    height: int
    """Default height, pixels."""
    max_prompt_tokens: int | None
    guided: bool
    """Whether a guidance scale has any effect."""
    scheduler_class: str
    """Class of the model's own scheduler; empty when it has none."""
    scheduler_config: Mapping[str, Any]
    index: Mapping[str, Any]
    """Content of `model_index.json`."""


def describe(files: ModelFiles, *, pipeline: str | None) -> Description:
    """Read what a model's configurations say.

    Args:
        files: of the model.
        pipeline: the diffusers class to load it with, instead of its own.

    Raises:
        ModelError: no diffusers model, or one that makes no images from text.
    """
    index = read_json(files, INDEX)
    if not index:
        raise ModelError(f"{files.place}: has no {INDEX}, so it is no diffusers model; name a folder that has one")
    named = index.get("_class_name")
    class_name = pipeline or str(named[1] if isinstance(named, list) else named)
    if any(part in class_name for part in NOT_TEXT_TO_IMAGE):
        raise ModelError(f"{files.place}: {class_name} needs more than a prompt; use a text-to-image pipeline")
    family = family_of(class_name)
    backbone = read_json(files, f"{family.backbone}/config.json") or read_json(files, "unet/config.json")
    scale = _vae_scale(files, index)
    side = scale * _sample_size(backbone, family)
    scheduler = read_json(files, "scheduler/scheduler_config.json")
    return Description(
        family=family,
        pipeline_class=class_name,
        unit=math.lcm(scale * _patch(backbone, family), family.multiple),
        width=side,
        height=side,
        max_prompt_tokens=_text_limit(files, index, family, class_name),
        guided=family.name != "flux" or bool(backbone.get("guidance_embeds")),
        scheduler_class=components(index).get("scheduler", ("", ""))[1],
        scheduler_config=scheduler,
        index=index,
    )


def facts(description: Description) -> dict[str, str]:
    """What `problem` needs to know of a model later, as options of the frozen model."""
    config = description.scheduler_config
    flags = {
        "flow": is_flow(description.scheduler_class, config),
        "zero_snr": bool(config.get("rescale_betas_zero_snr")),
        "guided": description.guided,
    }
    return {name: str(flag).lower() for name, flag in flags.items()}


def _vae_scale(files: ModelFiles, index: Mapping[str, Any]) -> int:
    """Pixels per latent pixel, as the pipelines compute it: two to the number of halvings."""
    kind = components(index).get("vae", ("", ""))[1]
    if kind in _STOCHASTIC_VAES:
        raise ModelError(f"{files.place}: {kind} draws noise while it decodes; use the model's ordinary VAE")
    config = read_json(files, "vae/config.json")
    blocks = config.get("block_out_channels") or config.get("decoder_block_out_channels")
    if kind == "AutoencoderTiny":
        blocks = config.get("encoder_block_out_channels")
    return int(2 ** (len(blocks) - 1)) if isinstance(blocks, list) else 8


def _sample_size(backbone: Mapping[str, Any], family: Family) -> int:
    size = backbone.get("sample_size")
    if isinstance(size, list):
        size = size[0]
    return size if isinstance(size, int) and not isinstance(size, bool) else family.sample_size


def _patch(backbone: Mapping[str, Any], family: Family) -> int:
    """Latent pixels, in each direction, of one token of the backbone."""
    if family.packing > 1:
        return family.packing
    patch = backbone.get("patch_size")
    return patch if isinstance(patch, int) and patch > 0 else 1


def _text_limit(files: ModelFiles, index: Mapping[str, Any], family: Family, class_name: str) -> int | None:
    """Tokens at which the model's longest-sighted text encoder cuts a prompt off."""
    parts = components(index)
    fixed = family.pipelines.get(class_name)
    if fixed is not None and (family.name != "sd3" or "text_encoder_3" in parts):
        return fixed
    limits = [
        read_json(files, "tokenizer/tokenizer_config.json").get("model_max_length"),
        read_json(files, "text_encoder/config.json").get("max_position_embeddings"),
    ]
    known = [limit for limit in limits if isinstance(limit, int) and 0 < limit < _NO_LIMIT]
    return min(known, default=None)
