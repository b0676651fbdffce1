"""Which of torch's kernels attention runs on: what the model really uses, whatever its processors are.

Diffusers' own switch (`set_attention_backend`) does nothing to UNets, whose processors call torch directly; all
families that we know end in that call. Torch's switches are the whole process's, which holds one model: they are set
when it is loaded, and leave in reserve what text encoders or the VAE, whose heads may be too wide, need.
"""

import warnings
from typing import Any, Final

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.errors import ModelUnavailableError

_KERNELS: Final = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}

_USUAL: Final = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
    SDPBackend.CUDNN_ATTENTION,
)
"""Torch's own order."""


def check_attention(backbone: Any, kind: str, *, device: str) -> None:
    """Make sure that this kernel takes the denoiser's heads in its precision on this device.

    Args:
        backbone: the denoiser, on its device.
        kind: as of `Levers.attention`, not `auto`.
        device: `cpu`, `cuda` or `cuda:<n>`.

    Raises:
        ModelUnavailableError: it does not; with what can be done.
    """
    dtype = next(iter(backbone.parameters())).dtype
    for width in sorted(_head_widths(backbone)):
        values = torch.zeros(1, 2, 64, width, dtype=dtype, device=device)
        try:
            with warnings.catch_warnings(), sdpa_kernel([_KERNELS[kind]]):
                warnings.simplefilter("ignore")  # torch tells kernel by kernel why not
                torch.nn.functional.scaled_dot_product_attention(values, values, values)
        except RuntimeError as error:
            numbers = str(dtype).removeprefix("torch.")
            raise ModelUnavailableError(
                f"attention: {kind} does not take heads of {width} in {numbers} on this device; use attention: auto"
            ) from error


def _head_widths(backbone: Any) -> set[int]:
    """Of all attention layers."""
    return {
        module.inner_dim // module.heads
        for module in backbone.modules()
        if isinstance(getattr(module, "heads", None), int) and isinstance(getattr(module, "inner_dim", None), int)
    }


def choose_attention(kind: str) -> None:
    """Have all attention of this process run on this kernel from now on, wherever it takes the call.

    `math` takes every call, so the others are switched off beside it.
    """
    first = _KERNELS.get(kind)
    order = _USUAL if first is None else (first, *(one for one in _USUAL if one is not first))
    allowed = {SDPBackend.MATH} if kind == "math" else set(_USUAL)
    torch.backends.cuda.enable_flash_sdp(SDPBackend.FLASH_ATTENTION in allowed)
    torch.backends.cuda.enable_mem_efficient_sdp(SDPBackend.EFFICIENT_ATTENTION in allowed)
    torch.backends.cuda.enable_cudnn_sdp(SDPBackend.CUDNN_ATTENTION in allowed)
    torch.backends.cuda.enable_math_sdp(enabled=True)
    numbers = [one.value for one in order]
    others = [one for one in torch._C._get_sdp_priority_order() if one not in numbers]  # noqa: SLF001 - as in `sdpa_kernel`
    torch._C._set_sdp_priority_order([*numbers, *others])  # noqa: SLF001
