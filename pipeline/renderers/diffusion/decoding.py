"""From latents to pictures: exactly what each family's own pipeline does with `output_type="np"`, in micro-batches.

Each step names where it comes from: the end of `__call__` of the pipeline, diffusers 0.42.1.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from pipeline.ports import Picture
from pipeline.renderers.diffusion.families import Family
from pipeline.request import Variant

_PIXELS_AT_ONCE = {"cpu": 1 << 20, "cuda": 1 << 21}


def decode_batch(
    pipe: Any, family: Family, latents: torch.Tensor, variant: Variant, *, count: int, text_dtype: torch.dtype
) -> list[Picture]:
    """Decode the first `count` of a batch's latents; shapes depend on the whole batch alone, never on `count`."""
    pictures: list[Picture] = []
    size = micro_batch(latents.shape[0], variant, latents.device.type)
    for start in range(0, count, size):
        pictures.extend(_pictures(pipe, family, latents[start : start + size], variant, text_dtype))
    return pictures[:count]


def micro_batch(batch_size: int, variant: Variant, device_type: str) -> int:
    """How many images are decoded at once: a divisor of the batch, bounded by pixels."""
    most = _PIXELS_AT_ONCE.get(device_type, 1 << 20) // (variant.width * variant.height)
    return max(size for size in range(1, batch_size + 1) if batch_size % size == 0 and size <= max(1, most))


def _pictures(
    pipe: Any, family: Family, latents: torch.Tensor, variant: Variant, text_dtype: torch.dtype
) -> Iterator[Picture]:
    with torch.no_grad():
        image = _DECODERS[family.name](pipe, latents, variant)
        finite = torch.isfinite(image).flatten(1).all(dim=1).tolist()
        blanked, normal = [False] * image.shape[0], None
        if getattr(pipe, "safety_checker", None) is not None:
            image, flags = pipe.run_safety_checker(image, image.device, text_dtype)
            blanked = [bool(flag) for flag in flags]
            normal = [not flag for flag in blanked]
        if getattr(pipe, "watermark", None) is not None:
            image = pipe.watermark.apply_watermark(image)
        pixels = to_bytes(pipe.image_processor.postprocess(image, output_type="pt", do_denormalize=normal))
    for index, flag in enumerate(blanked):
        yield Picture(pixels=pixels[index], finite=finite[index], blanked=flag)


def to_bytes(image: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Images of (n, 3, h, w) in 0..1 as bytes of (n, h, w, 3): `(x * 255).round()`, converted on the device."""
    values = (image.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    if not values.is_cuda:
        return values.cpu().numpy()
    # Into pinned memory the copy is the GPU's own work, and only this stream waits for it.
    pinned = torch.empty(values.shape, dtype=torch.uint8, pin_memory=True)
    pinned.copy_(values, non_blocking=True)
    torch.cuda.current_stream(values.device).synchronize()
    return pinned.numpy()


def _decode_sd(pipe: Any, latents: torch.Tensor, variant: Variant) -> torch.Tensor:
    """StableDiffusionPipeline."""
    return _vae(pipe, latents / pipe.vae.config.scaling_factor)


def _decode_sdxl(pipe: Any, latents: torch.Tensor, variant: Variant) -> torch.Tensor:
    """StableDiffusionXLPipeline; a VAE that must be upcast was upcast when the pipeline was loaded."""
    config = pipe.vae.config
    latents = latents.to(pipe.vae.dtype)
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is None or deviation is None:
        return _vae(pipe, latents / config.scaling_factor)
    mean = torch.tensor(mean).view(1, 4, 1, 1).to(latents.device, latents.dtype)
    deviation = torch.tensor(deviation).view(1, 4, 1, 1).to(latents.device, latents.dtype)
    return _vae(pipe, latents * deviation / config.scaling_factor + mean)


def _decode_sd3(pipe: Any, latents: torch.Tensor, variant: Variant) -> torch.Tensor:
    """StableDiffusion3Pipeline."""
    return _vae(pipe, (latents / pipe.vae.config.scaling_factor) + pipe.vae.config.shift_factor)


def _decode_flux(pipe: Any, latents: torch.Tensor, variant: Variant) -> torch.Tensor:
    """FluxPipeline: its latents are packed into tokens."""
    unpack = pipe._unpack_latents  # noqa: SLF001 - the pipeline's own way is the point
    unpacked = unpack(latents, variant.height, variant.width, pipe.vae_scale_factor)
    return _decode_sd3(pipe, unpacked, variant)


def _decode_pixart(pipe: Any, latents: torch.Tensor, variant: Variant) -> torch.Tensor:
    """PixArtAlphaPipeline, PixArtSigmaPipeline: rendered in the nearest of their shapes, then resized and cropped."""
    image = _vae(pipe, latents.to(pipe.vae.dtype) / pipe.vae.config.scaling_factor)
    if bins_resolution(pipe):
        image = pipe.image_processor.resize_and_crop_tensor(image, variant.width, variant.height)
    return image


def bins_resolution(pipe: Any) -> bool:
    """Whether a PixArt pipeline knows shapes for its sample size; without them it renders the size asked for."""
    known = (32, 64, 128, 256) if type(pipe).__name__ == "PixArtSigmaPipeline" else (32, 64, 128)
    return pipe.transformer.config.sample_size in known


def _vae(pipe: Any, latents: torch.Tensor) -> torch.Tensor:
    image: torch.Tensor = pipe.vae.decode(latents, return_dict=False)[0]
    return image


_DECODERS = {
    "sd": _decode_sd,
    "sdxl": _decode_sdxl,
    "sd3": _decode_sd3,
    "flux": _decode_flux,
    "pixart": _decode_pixart,
}
