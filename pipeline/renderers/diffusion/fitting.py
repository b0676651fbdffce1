"""How many images go through a device together: a rule of thumb; a worker that finds it too many halves it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.request import Variant

_CPU_BATCH = 4
_MOST = 16
_RESERVE_BYTES = 3 << 30
_BYTES_PER_MEGAPIXEL = {torch.float32: 8 << 30}
_BYTES_PER_MEGAPIXEL_HALF = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What stands on the device while a batch does."""

    bytes: int
    dtype: torch.dtype


def weights_of(pipe: Any, *, without: Collection[torch.nn.Module] = ()) -> Weights:
    """The weights of a whole pipeline, but for modules that leave the device before a batch comes."""
    dtype = next(iter(_modules(pipe)[0].parameters())).dtype
    return Weights(bytes=weight_bytes(pipe) - bytes_of(without), dtype=dtype)


def images_that_fit(weights: Weights, variant: Variant, device: torch.device) -> int:
    """A power of two from 1 to 16; on a CPU always 4.

    It depends on the device's size and the weights, not on what happens to be free, so that like nodes choose alike.

    Args:
        weights: of the model.
        variant: of the images.
        device: where.
    """
    if device.type != "cuda":
        return _CPU_BATCH
    total = torch.cuda.get_device_properties(device).total_memory
    left = total - weights.bytes - _RESERVE_BYTES
    megapixels = variant.width * variant.height / (1 << 20)
    each = _BYTES_PER_MEGAPIXEL.get(weights.dtype, _BYTES_PER_MEGAPIXEL_HALF) * megapixels
    fitting = max(1, min(_MOST, int(left / each)))
    return 1 << (fitting.bit_length() - 1)


def weight_bytes(pipe: Any) -> int:
    """Bytes of all weights of a pipeline."""
    return bytes_of(_modules(pipe))


def bytes_of(modules: Iterable[torch.nn.Module]) -> int:
    """Bytes of the weights of some modules."""
    return sum(parameter.numel() * parameter.element_size() for module in modules for parameter in module.parameters())


def _modules(pipe: Any) -> list[torch.nn.Module]:
    return [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
