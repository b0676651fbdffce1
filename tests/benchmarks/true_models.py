"""Models of the true architecture with random weights: as fast and as large as the real ones, and free to make.

The sizes are those of the published configurations: stable-diffusion-v1-5, stable-diffusion-xl-base-1.0 and
FLUX.1-dev. Text encoders are left out; embeddings of the right shape stand for what they would give.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import torch

from pipeline.renderers.diffusion.families import FAMILIES, Family


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueModel:
    """One architecture, and what its text encoders would give for one prompt."""

    family: str
    side: int
    """Width and height, pixels."""
    guidance: float
    build: Callable[[bool], Any]
    """The pipeline on the default device; tiny when told so."""
    embeddings: Mapping[str, tuple[int, ...]]
    """Argument of the pipeline's call -> shape for one prompt."""

    def family_of(self) -> Family:
        """How such pipelines draw."""
        return next(family for family in FAMILIES if family.name == self.family)

    def texts(self, batch: int, *, device: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Embeddings of a batch."""
        source = torch.Generator(device).manual_seed(0)
        return {
            name: torch.randn((batch, *shape), generator=source, device=device, dtype=dtype)
            for name, shape in self.embeddings.items()
        }


def _vae(channels: int, *, tiny: bool, **more: Any) -> Any:
    widths = (16, 16, 16, 16) if tiny else (128, 256, 512, 512)
    return diffusers.AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1 if tiny else 2,
        latent_channels=channels,
        norm_num_groups=8 if tiny else 32,
        **more,
    )


def _sd15(tiny: bool) -> Any:  # noqa: FBT001 - called through the table
    widths = (32, 32, 32, 32) if tiny else (320, 640, 1280, 1280)
    unet = diffusers.UNet2DConditionModel(
        sample_size=64, block_out_channels=widths, cross_attention_dim=768, norm_num_groups=32
    )
    return diffusers.StableDiffusionPipeline(
        vae=_vae(4, tiny=tiny),
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=diffusers.PNDMScheduler(beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _sdxl(tiny: bool) -> Any:  # noqa: FBT001 - called through the table
    unet = diffusers.UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(32, 32, 32) if tiny else (320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=1 if tiny else (1, 2, 10),
        attention_head_dim=4 if tiny else (5, 10, 20),
        cross_attention_dim=2048,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
        use_linear_projection=True,
    )
    return diffusers.StableDiffusionXLPipeline(
        vae=_vae(4, tiny=tiny, scaling_factor=0.13025),
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
        add_watermarker=False,
    )


def _flux(tiny: bool) -> Any:  # noqa: FBT001 - called through the table
    size = {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 2} if tiny else {}
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(16, tiny=tiny, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.1159),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=diffusers.FluxTransformer2DModel(guidance_embeds=True, **size),
    )


TRUE_MODELS: Mapping[str, TrueModel] = {
    "SD 1.5": TrueModel(
        family="sd",
        side=512,
        guidance=7.5,
        build=_sd15,
        embeddings={"prompt_embeds": (77, 768), "negative_prompt_embeds": (77, 768)},
    ),
    "SDXL": TrueModel(
        family="sdxl",
        side=1024,
        guidance=7.0,
        build=_sdxl,
        embeddings={
            "prompt_embeds": (77, 2048),
            "negative_prompt_embeds": (77, 2048),
            "pooled_prompt_embeds": (1280,),
            "negative_pooled_prompt_embeds": (1280,),
        },
    ),
    "FLUX.1-dev": TrueModel(
        family="flux",
        side=1024,
        guidance=3.5,
        build=_flux,
        embeddings={"prompt_embeds": (512, 4096), "pooled_prompt_embeds": (768,)},
    ),
}
"""By the name that people know it under."""
