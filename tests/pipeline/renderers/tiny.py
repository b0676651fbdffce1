"""Pipelines of random weights, a megabyte or two each: real classes of diffusers in folders as users have them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from tests.pipeline.renderers.tiny_parts import (
    SIZE,
    clip_config,
    clip_tokenizer,
    ddim,
    safety_checker,
    t5,
    t5_tokenizer,
    unet,
    vae,
)


def sd(folder: Path) -> Path:
    """A Stable Diffusion 1.x pipeline without a safety checker."""
    return _save(folder, _stable_diffusion)


def sd_checked(folder: Path) -> Path:
    """The same with a safety checker whose random weights let every picture pass."""
    return _save(folder, lambda: _stable_diffusion(threshold=2.0))


def sd_prudish(folder: Path) -> Path:
    """The same with a safety checker that blanks every picture."""
    return _save(folder, lambda: _stable_diffusion(threshold=-2.0))


def sdxl(folder: Path) -> Path:
    """A Stable Diffusion XL pipeline with two text encoders and a VAE that asks to be upcast."""
    return _save(folder, _sdxl)


def sd3(folder: Path) -> Path:
    """A Stable Diffusion 3 pipeline with all three text encoders and a VAE with a shift."""
    return _save(folder, _sd3)


def flux(folder: Path) -> Path:
    """A FLUX.1 pipeline with distilled guidance, as dev has it."""
    return _save(folder, lambda: _flux(guidance=True))


def flux_schnell(folder: Path) -> Path:
    """A FLUX.1 pipeline without guidance, as schnell has it."""
    return _save(folder, lambda: _flux(guidance=False))


def pixart(folder: Path) -> Path:
    """A PixArt Sigma pipeline: T5 text, a transformer that takes any size."""
    return _save(folder, lambda: _pixart(diffusers.PixArtSigmaPipeline, sample_size=16))


def pixart_binned(folder: Path) -> Path:
    """A PixArt Alpha pipeline of a size whose pipeline renders in the nearest of its own shapes and crops."""
    return _save(folder, lambda: _pixart(diffusers.PixArtAlphaPipeline, sample_size=32))


def lcm(folder: Path) -> Path:
    """A latent consistency pipeline: of no family that is handled apart."""
    return _save(folder, _lcm)


FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "sd": sd,
    "sd_checked": sd_checked,
    "sd_prudish": sd_prudish,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "flux_schnell": flux_schnell,
    "pixart": pixart,
    "pixart_binned": pixart_binned,
}
"""Every tiny pipeline of a family that we handle, by name."""


def _save(folder: Path, build: Callable[[], Any]) -> Path:
    """Build from a fixed seed, without disturbing the caller's global generator, and write the folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        build().save_pretrained(folder, safe_serialization=True)
    return folder


def _stable_diffusion(threshold: float | None = None) -> Any:
    checker = None if threshold is None else safety_checker(threshold)
    images = None if threshold is None else transformers.CLIPImageProcessor(size=30, crop_size=30)
    return diffusers.StableDiffusionPipeline(
        vae=vae(),
        text_encoder=transformers.CLIPTextModel(clip_config()).eval(),
        tokenizer=clip_tokenizer(),
        unet=unet(),
        scheduler=ddim(),
        safety_checker=checker,
        feature_extractor=images,
        requires_safety_checker=checker is not None,
    )


def _lcm() -> Any:
    return diffusers.LatentConsistencyModelPipeline(
        vae=vae(),
        text_encoder=transformers.CLIPTextModel(clip_config()).eval(),
        tokenizer=clip_tokenizer(),
        unet=unet(time_cond_proj_dim=32),
        scheduler=diffusers.LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl() -> Any:
    denoiser = unet(
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
        transformer_layers_per_block=(1, 1),
        use_linear_projection=True,
        attention_head_dim=(2, 4),
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=vae(force_upcast=True, latents_mean=[0.1, 0.2, 0.0, -0.1], latents_std=[1.0, 0.9, 1.1, 1.2]),
        text_encoder=transformers.CLIPTextModel(clip_config(hidden_act="gelu")).eval(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(clip_config(hidden_act="gelu")).eval(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=denoiser,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    )


def _sd3() -> Any:
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=SIZE // 2,
        patch_size=1,
        in_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        out_channels=4,
        pos_embed_max_size=SIZE // 2,
    )
    half = clip_config(16, hidden_act="gelu")
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae(shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.CLIPTextModelWithProjection(half).eval(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(half).eval(),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=t5().eval(),
        tokenizer_3=t5_tokenizer(),
    )


def _flux(*, guidance: bool) -> Any:
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guidance,
    )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=guidance),
        vae=vae(shift_factor=0.1159, scaling_factor=0.3611, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.CLIPTextModel(clip_config(hidden_act="gelu")).eval(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=t5().eval(),
        tokenizer_2=t5_tokenizer(),
        transformer=transformer.eval(),
    )


def _pixart(pipeline_class: Any, *, sample_size: int) -> Any:
    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=sample_size,
        num_layers=1,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=3,
        caption_channels=32,
        in_channels=4,
        cross_attention_dim=24,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
    )
    return pipeline_class(
        tokenizer=t5_tokenizer(),
        text_encoder=t5().eval(),
        vae=vae(),
        transformer=transformer.eval(),
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )
