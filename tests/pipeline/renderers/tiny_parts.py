"""What the tiny pipelines are made of: components of random weights."""

from typing import Any

import diffusers
import transformers

SIZE = 64
"""Width and height that every tiny pipeline renders, pixels."""


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


def clip_config(width: int = 32, **changes: Any) -> Any:
    """Of a text encoder of two layers."""
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


def t5(width: int = 32) -> Any:
    """A T5 text encoder of two layers."""
    config = transformers.T5Config(
        vocab_size=64, d_model=width, d_kv=8, d_ff=37, num_layers=2, num_heads=4, tie_word_embeddings=False
    )
    return transformers.T5EncoderModel(config)


def vae(channels: int = 4, **changes: Any) -> Any:
    """An autoencoder that halves both sides."""
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


def unet(**changes: Any) -> Any:
    """A UNet of two levels."""
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


def ddim() -> Any:
    """A scheduler as Stable Diffusion has it."""
    return diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def safety_checker(threshold: float) -> Any:
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
