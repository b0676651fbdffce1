"""Pipelines of random weights, a megabyte or two each: real classes of diffusers in folders as users have them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

SIZE = 64
"""Width and height that every tiny pipeline renders, pixels."""


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


def clip_tokenizer(limit: int = 77) -> Any:
    """A CLIP tokenizer that knows letters, digits and a few marks."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.!?'-"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=limit)


def t5_tokenizer(limit: int = 512) -> Any:
    """A T5 tokenizer over single letters; no sentencepiece needed."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    pieces += [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789,.!?'-"]
    return transformers.T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=limit)


def _clip_config(width: int = 32, **changes: Any) -> Any:
    tokens = len(clip_tokenizer())
    values: dict[str, Any] = {
        "vocab_size": tokens,
        "hidden_size": width,
        "intermediate_size": 37,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "max_position_embeddings": 77,
        "projection_dim": width,
        "bos_token_id": tokens - 2,
        "eos_token_id": tokens - 1,
        "pad_token_id": tokens - 1,
    }
    return transformers.CLIPTextConfig(**(values | changes))


def _t5(width: int = 32) -> Any:
    config = transformers.T5Config(
        vocab_size=64, d_model=width, d_kv=8, d_ff=37, num_layers=2, num_heads=4, tie_word_embeddings=False
    )
    return transformers.T5EncoderModel(config)


def _vae(channels: int = 4, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "block_out_channels": (16, 32),
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": channels,
        "norm_num_groups": 8,
        "sample_size": SIZE,
    }
    return diffusers.AutoencoderKL(**(values | changes)).eval()


def _unet(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "sample_size": SIZE // 2,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
        "norm_num_groups": 8,
    }
    return diffusers.UNet2DConditionModel(**(values | changes)).eval()


def _ddim() -> Any:
    return diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def _stable_diffusion(threshold: float | None = None) -> Any:
    checker = None if threshold is None else _safety_checker(threshold)
    images = None if threshold is None else transformers.CLIPImageProcessor(size=30, crop_size=30)
    return diffusers.StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=transformers.CLIPTextModel(_clip_config()).eval(),
        tokenizer=clip_tokenizer(),
        unet=_unet(),
        scheduler=_ddim(),
        safety_checker=checker,
        feature_extractor=images,
        requires_safety_checker=checker is not None,
    )


def _lcm() -> Any:
    return diffusers.LatentConsistencyModelPipeline(
        vae=_vae(),
        text_encoder=transformers.CLIPTextModel(_clip_config()).eval(),
        tokenizer=clip_tokenizer(),
        unet=_unet(time_cond_proj_dim=32),
        scheduler=diffusers.LCMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _safety_checker(threshold: float) -> Any:
    """A checker that blanks a picture when the cosine to any concept is above `threshold` (cosines: -1 to 1)."""
    vision = {
        "hidden_size": 16,
        "intermediate_size": 19,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 30,
        "patch_size": 10,
        "projection_dim": 16,
    }
    config = transformers.CLIPConfig(vision_config=vision, projection_dim=16)
    checker_class = diffusers.pipelines.stable_diffusion.safety_checker.StableDiffusionSafetyChecker
    checker = checker_class(config).eval()
    checker.concept_embeds_weights.data.fill_(threshold)
    checker.special_care_embeds_weights.data.fill_(2.0)
    return checker


def _sdxl() -> Any:
    unet = _unet(
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
        transformer_layers_per_block=(1, 1),
        use_linear_projection=True,
        attention_head_dim=(2, 4),
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(force_upcast=True, latents_mean=[0.1, 0.2, 0.0, -0.1], latents_std=[1.0, 0.9, 1.1, 1.2]),
        text_encoder=transformers.CLIPTextModel(_clip_config(hidden_act="gelu")).eval(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(_clip_config(hidden_act="gelu")).eval(),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=unet,
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
    half = _clip_config(16, hidden_act="gelu")
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer.eval(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(shift_factor=0.0609, scaling_factor=1.5305, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.CLIPTextModelWithProjection(half).eval(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(half).eval(),
        tokenizer_2=clip_tokenizer(),
        text_encoder_3=_t5().eval(),
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
        vae=_vae(shift_factor=0.1159, scaling_factor=0.3611, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=transformers.CLIPTextModel(_clip_config(hidden_act="gelu")).eval(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=_t5().eval(),
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
        text_encoder=_t5().eval(),
        vae=_vae(),
        transformer=transformer.eval(),
        scheduler=diffusers.DPMSolverMultistepScheduler(),
    )
