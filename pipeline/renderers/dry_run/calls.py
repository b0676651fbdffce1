"""One forward of each denoiser that we know, and one decode, with arguments of the right shapes."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from pipeline.errors import ModelError


def denoise(model: Any, *, rows: int, width: int, height: int, pixels_per_latent: int, tokens: int) -> None:
    """Run the denoiser once.

    Args:
        model: of diffusers.
        rows: images, each counted twice where classifier-free guidance runs both texts in one forward.
        width: of the images, pixels.
        height: of the images, pixels.
        pixels_per_latent: pixels of the image that one latent pixel stands for, on each side.
        tokens: length of the text.

    Raises:
        ModelError: a denoiser of a class that we have never run.
    """
    kind = type(model).__name__
    if kind not in _ARGUMENTS:
        raise ModelError(f"{kind}: known are {', '.join(sorted(_ARGUMENTS))}; render a small job to see what it needs")
    latent = (height // pixels_per_latent, width // pixels_per_latent)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        model(**_ARGUMENTS[kind](model.config, rows, latent, tokens, dtype), return_dict=False)


def decode(model: Any, *, rows: int, width: int, height: int, pixels_per_latent: int) -> None:
    """Run the decoder of an autoencoder once."""
    latent = (height // pixels_per_latent, width // pixels_per_latent)
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        model.decode(torch.empty(rows, model.config.latent_channels, *latent, dtype=dtype), return_dict=False)


def _unet(config: Any, rows: int, latent: tuple[int, int], tokens: int, dtype: torch.dtype) -> dict[str, Any]:
    added = {}
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        added = {
            "text_embeds": torch.empty(rows, pooled, dtype=dtype),
            "time_ids": torch.empty(rows, 6, dtype=dtype),
        }
    return {
        "sample": torch.empty(rows, config.in_channels, *latent, dtype=dtype),
        "timestep": torch.empty(()),
        "encoder_hidden_states": torch.empty(rows, tokens, config.cross_attention_dim, dtype=dtype),
        "added_cond_kwargs": added,
    }


def _sd3(config: Any, rows: int, latent: tuple[int, int], tokens: int, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "hidden_states": torch.empty(rows, config.in_channels, *latent, dtype=dtype),
        "encoder_hidden_states": torch.empty(rows, tokens, config.joint_attention_dim, dtype=dtype),
        "pooled_projections": torch.empty(rows, config.pooled_projection_dim, dtype=dtype),
        "timestep": torch.empty(rows),
    }


def _flux(config: Any, rows: int, latent: tuple[int, int], tokens: int, dtype: torch.dtype) -> dict[str, Any]:
    packed = (latent[0] // 2) * (latent[1] // 2)
    return {
        "hidden_states": torch.empty(rows, packed, config.in_channels, dtype=dtype),
        "encoder_hidden_states": torch.empty(rows, tokens, config.joint_attention_dim, dtype=dtype),
        "pooled_projections": torch.empty(rows, config.pooled_projection_dim, dtype=dtype),
        "timestep": torch.empty(rows, dtype=dtype),
        "img_ids": torch.empty(packed, 3, dtype=dtype),
        "txt_ids": torch.empty(tokens, 3, dtype=dtype),
        "guidance": torch.empty(rows) if config.guidance_embeds else None,
    }


def _captioned(config: Any, rows: int, latent: tuple[int, int], tokens: int, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "hidden_states": torch.empty(rows, config.in_channels, *latent, dtype=dtype),
        "encoder_hidden_states": torch.empty(rows, tokens, config.caption_channels, dtype=dtype),
        "encoder_attention_mask": torch.empty(rows, tokens, dtype=dtype),
        "timestep": torch.empty(rows),
    }


def _pixart(config: Any, rows: int, latent: tuple[int, int], tokens: int, dtype: torch.dtype) -> dict[str, Any]:
    added = {"resolution": None, "aspect_ratio": None}
    return {**_captioned(config, rows, latent, tokens, dtype), "added_cond_kwargs": added}


_Arguments = Callable[[Any, int, tuple[int, int], int, torch.dtype], dict[str, Any]]

_ARGUMENTS: Mapping[str, _Arguments] = {
    "UNet2DConditionModel": _unet,
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _flux,
    "PixArtTransformer2DModel": _pixart,
    "SanaTransformer2DModel": _captioned,
}
