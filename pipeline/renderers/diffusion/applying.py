"""Pulls the levers of a loaded pipeline: memory order, quantization, step cache, attention, offload."""

from typing import Any

import torch

from pipeline.errors import ModelUnavailableError
from pipeline.performance import Levers
from pipeline.renderers.diffusion.attention import check_attention, choose_attention
from pipeline.renderers.diffusion.families import Family
from pipeline.renderers.diffusion.fitting import bytes_of, weight_bytes
from pipeline.renderers.diffusion.text_encoders import text_encoders_of

_HEADROOM = 0.85
"""Share of the GPU's memory that the weights may fill before something has to leave it."""

_WHILE_ENCODING = 0.95
"""The same while nothing is done but encoding text."""


def apply_levers(pipe: Any, family: Family, levers: Levers, *, device: str, steps: int) -> tuple[str, ...]:
    """Change the pipeline in place and put it onto the device; gives the names of what is in force.

    Args:
        pipe: on the CPU.
        family: of the model.
        levers: what was asked for, checked at submit as far as it could be.
        device: `cpu`, `cuda` or `cuda:<n>`.
        steps: default steps of the model, for the step cache.

    Raises:
        ModelUnavailableError: this device or these libraries cannot do what was asked; says what can be done.
    """
    pulled: list[str] = []
    backbone = getattr(pipe, family.backbone, None)
    memory = _memory(pipe, levers.memory, device)
    if memory in {"fit", "tiling", "text_offload"}:
        pipe.to(device)
    if backbone is not None and _wants_channels_last(levers, family, device):
        backbone.to(memory_format=torch.channels_last)
        pulled.append("channels_last")
    if levers.quantization != "none":
        _quantize(backbone, levers.quantization, device)
    if levers.step_cache == "mag":
        cache_steps(backbone, steps)
    choose_attention(levers.attention)
    if levers.attention != "auto":
        check_attention(backbone, levers.attention, device=device)
        pulled.append(f"attention_{levers.attention}")
    if memory != "fit":
        _save_memory(pipe, memory, device)
        pulled.append(memory)
    return tuple(pulled)


def _wants_channels_last(levers: Levers, family: Family, device: str) -> bool:
    if levers.channels_last == "auto":
        return family.backbone == "unet" and device != "cpu"
    return levers.channels_last == "on"


def _memory(pipe: Any, asked: str, device: str) -> str:
    """What is done so that the model fits: nothing, where it fits by itself."""
    if device == "cpu":
        return asked if asked in {"tiling", "text_offload"} else "fit"
    if asked != "auto":
        return asked
    return fitting_memory(
        weights=weight_bytes(pipe),
        text_encoders=bytes_of(text_encoders_of(pipe).values()),
        total=torch.cuda.get_device_properties(device).total_memory,
    )


def fitting_memory(*, weights: int, text_encoders: int, total: int) -> str:
    """The cheapest way in which a model fits into a device; all sizes in bytes.

    Text encoders that wait on the host come back for the prompts of each task, beside all the rest, but not beside a
    batch.
    """
    if weights <= total * _HEADROOM:
        return "fit"
    if text_encoders and weights <= total * _WHILE_ENCODING and weights - text_encoders <= total * _HEADROOM:
        return "text_offload"
    return "offload"


def _save_memory(pipe: Any, memory: str, device: str) -> None:
    """Tiles for the VAE, or weights that wait in the host's memory; both cost time."""
    if memory == "text_offload":
        return  # the renderer does it, which knows when there is something to encode
    if memory == "tiling":
        pipe.vae.enable_tiling()
    elif memory == "offload":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.enable_group_offload(
            onload_device=torch.device(device),
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=True,
        )


def _quantize(backbone: Any, kind: str, device: str) -> None:
    """Quantize the linear layers of the denoiser, row by row, so that no image depends on its neighbours."""
    try:
        from torchao import quantization
    except ImportError as error:
        raise ModelUnavailableError("torchao is not installed on this worker; use quantization: none") from error
    if kind == "fp8" and (device == "cpu" or torch.cuda.get_device_capability(device) < (8, 9)):
        raise ModelUnavailableError("this device has no FP8 arithmetic; use quantization: int8")
    row = quantization.granularity.PerRow()
    configs = {
        "int8": quantization.Int8DynamicActivationInt8WeightConfig,
        "fp8": lambda: quantization.Float8DynamicActivationFloat8WeightConfig(granularity=row),
        # The layout of torch's own kernel; torchao's default one needs a library of its own.
        "int4": lambda: quantization.Int4WeightOnlyConfig(int4_packing_format="tile_packed_to_4d"),
    }
    try:
        quantization.quantize_(backbone, configs[kind]())
    except (RuntimeError, ValueError, AssertionError, NotImplementedError, ImportError) as error:
        raise ModelUnavailableError(f"{kind} cannot be had here ({error}); use quantization: none") from error


def cache_steps(backbone: Any, steps: int) -> None:
    """Skip steps whose output is foreseeable: decided by the step's number, so the same for every image.

    Args:
        backbone: the denoiser; what it skipped before counts no more.
        steps: of a pass, over which the measured ratios are spread.
    """
    from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS, MagCacheConfig

    if backbone.is_cache_enabled:
        backbone.disable_cache()
    backbone.enable_cache(MagCacheConfig(mag_ratios=FLUX_MAG_RATIOS, num_inference_steps=steps))
