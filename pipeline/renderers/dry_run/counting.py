"""Arithmetic and peak memory of one run of a component, counted under fake tensors."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from pipeline.renderers.dry_run.building import build, text_parameters
from pipeline.renderers.dry_run.calls import decode, denoise
from pipeline.renderers.dry_run.live_bytes import LiveBytes

Size = tuple[int, int]
"""Width and height of an image, pixels."""


def count_component(
    class_name: str,
    config: Mapping[str, Any],
    *,
    sizes: Sequence[Size] = (),
    pixels_per_latent: int = 8,
    tokens: int = 0,
) -> dict[str, Any]:
    """Parameters of a component, and at each size what one row through it takes.

    Args:
        class_name: of diffusers or transformers.
        config: as the class is configured by.
        sizes: at which a denoiser or decoder is run; a text encoder is only counted.
        pixels_per_latent: pixels on each side that one latent pixel stands for.
        tokens: length of the text that a denoiser reads; 0 for a decoder.

    Returns:
        `parameters`; of a text encoder `embedding_parameters`; of the others `linear_parameters` (those that
        quantization reaches) and `points`: width, height, flops of a row, activation bytes of one row at two bytes a
        number, and how many bytes each further row adds.

    Raises:
        ModelError: a class that we cannot run.
    """
    if not sizes:
        parameters, embeddings = text_parameters(class_name, config)
        return {"parameters": parameters, "embedding_parameters": embeddings}
    with FakeTensorMode():
        model = build(class_name, config)
        linear = [one for one in model.modules() if isinstance(one, torch.nn.Linear)]
        return {
            "parameters": sum(one.numel() for one in model.parameters()),
            "linear_parameters": sum(one.weight.numel() for one in linear),
            "points": [_point(model, size, pixels_per_latent, tokens) for size in sizes],
        }


def _point(model: Any, size: Size, pixels_per_latent: int, tokens: int) -> dict[str, int]:
    """What a row takes at one size."""
    width, height = size

    def run(rows: int) -> None:
        shape = {"rows": rows, "width": width, "height": height, "pixels_per_latent": pixels_per_latent}
        if tokens:
            denoise(model, **shape, tokens=tokens)
        else:
            decode(model, **shape)

    one, two = _peak(model, lambda: run(1)), _peak(model, lambda: run(2))
    with FlopCounterMode(display=False, custom_mapping=_ATTENTION) as counter:
        run(1)
    return {
        "width": width,
        "height": height,
        "flops": counter.get_total_flops(),
        "bytes": one,
        "bytes_per_further_row": two - one,
    }


def _peak(model: Any, run: Callable[[], None]) -> int:
    """Most bytes that live at once beside the weights, inputs included."""
    live = LiveBytes([*model.parameters(), *model.buffers()])
    with live:
        run()
    return live.peak


def _attention(query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any) -> int:
    """Arithmetic of fused attention: (batch, heads, length, width) of query, key and value; two products."""
    batch, heads, length, width = query
    return int(2 * math.prod((batch, heads, length, key[2])) * (width + value[3]))


_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}  # noqa: SLF001 - has no other name
"""What fake tensors run as attention; torch counts only those of GPUs."""
