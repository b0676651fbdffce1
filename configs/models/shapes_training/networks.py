"""The shapes model's four parts, untrained: small enough for 10 MB and two CPU cores.

The parts are typed ``Any``: diffusers shows a type checker only empty stand-ins.
"""

from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from configs.models.shapes_training.draw import SIDE

LATENT_SIDE = 16
LATENT_CHANNELS = 8
TEXT_WIDTH = 128


def new_autoencoder() -> Any:
    """Return an autoencoder between 128x128 pixels and 16x16 latents of 8 channels."""
    return AutoencoderKL(
        sample_size=SIDE,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 24, 32, 48),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=1,
        mid_block_add_attention=False,
    )


def new_unet() -> Any:
    """Return a denoiser of 16x16 latents that attends to the prompt at 8x8 and at 4x4.

    Without the 4x4 level it learns colours but no positions: nothing else tells it where
    in the picture a place lies.
    """
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(48, 80, 80),
        layers_per_block=1,
        norm_num_groups=16,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=5,
        use_linear_projection=True,
    )


def new_text_encoder(tokenizer: CLIPTokenizer) -> Any:
    """Return a two-layer text encoder for ``tokenizer``'s words."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_scheduler() -> Any:
    """Return the noise schedule: it ends in pure noise, so plain backgrounds come out true."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )
