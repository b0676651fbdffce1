"""How much memory of a GPU a model takes: weights, one forward, one decode, and what the runtime keeps for itself."""

from dataclasses import dataclass, replace
from typing import Final

from pipeline.catalogue.gpus import Gpu
from pipeline.catalogue.models import Component

RUNTIME_BYTES: Final = 3 << 28
"""Stated: CUDA context, workspaces of cuBLAS and cuDNN, and what the allocator cannot use; 0.75 GiB."""

HEADROOM: Final = 0.10
"""Share of the memory that a plan leaves free, for fragments and for what the dry run cannot see."""

TEXT_BYTES: Final = 256 << 20
"""Embeddings that the renderer keeps on the device, at most."""

DECODED_PIXELS: Final = 1 << 21
"""Pixels that the renderer decodes at once on a GPU, but one image at least."""

GROUP_BYTES: Final = 1 << 30
"""Stated: weights under way between host and device when layers are offloaded one by one."""

LARGEST_BATCH: Final = 64

_BYTES: Final = {"fp32": 4, "fp16": 2, "bf16": 2}
_LINEAR_BYTES: Final = {"int8": 1.01, "fp8": 1.01, "int4": 0.53}
"""Of a quantized number, with its share of the scales."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a model is made of, as far as memory goes."""

    name: str
    family: str
    rows_per_image: int
    """Rows of the denoiser's batch that an image takes."""
    denoiser: Component
    decoder: Component
    text_encoders: tuple[Component, ...]
    others: tuple[Component, ...] = ()
    """What lies on the device, too, such as a safety checker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How it is rendered."""

    width: int
    height: int
    batch: int = 1
    precision: str = "fp16"
    quantization: str = "none"
    """Of the denoiser's layers: `none`, `int8`, `fp8`, `int4`."""
    memory: str = "fit"
    """`fit`: all on the GPU; `tiling`, `text_offload`, `offload`, `group_offload`, as in `pipeline/performance.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Peak memory, by what takes it; bytes."""

    text_weights: int
    denoiser_weights: int
    decoder_weights: int
    other_weights: int
    denoising: int
    """Tensors of one forward."""
    decoding: int
    """Tensors of one decode, which runs beside the next batch's forward."""
    texts: int
    runtime: int
    loading: int
    """What loading takes beyond rendering: layers that are quantized on the device, text encoders that come and go."""

    @property
    def total(self) -> int:
        """The peak."""
        return sum(size for _, size in self.items())

    @property
    def largest(self) -> str:
        """What takes most of it."""
        return max(self.items(), key=lambda item: item[1])[0]

    def items(self) -> tuple[tuple[str, int], ...]:
        """What takes it, for a person."""
        return (
            ("text encoders", self.text_weights),
            ("denoiser", self.denoiser_weights),
            ("decoder", self.decoder_weights),
            ("other parts", self.other_weights),
            ("denoising", self.denoising),
            ("decoding", self.decoding),
            ("texts kept", self.texts),
            ("loading", self.loading),
            ("runtime", self.runtime),
        )


def need(parts: Parts, shape: Shape) -> Need:
    """Peak memory of a model that is rendered so."""
    size = _BYTES[shape.precision]
    text = sum(one.parameters * size for one in parts.text_encoders)
    whole = parts.denoiser.parameters * size
    others = sum(one.parameters * size for one in parts.others)
    denoiser = _quantized(parts.denoiser, size, shape.quantization)
    upcast = parts.family == "sdxl" and shape.precision == "fp16" and parts.decoder.force_upcast
    decoder_size = 4 if upcast else size
    decoder = parts.decoder.parameters * decoder_size
    pixels = shape.width * shape.height
    rows = parts.rows_per_image * shape.batch
    denoising = parts.denoiser.activation_bytes(pixels, rows) * size // 2
    images, decoded = decoded_at_once(shape.batch, pixels), pixels
    if shape.memory == "tiling" and pixels > parts.decoder.tile_side**2:
        decoded = parts.decoder.tile_side**2
    decoding = parts.decoder.activation_bytes(decoded, images) * decoder_size // 2
    on_device = shape.memory in {"fit", "tiling", "text_offload"}
    loading = max(0, whole - denoiser - denoising - decoding) if on_device else 0
    if shape.memory == "text_offload":
        # The encoders come back for the texts of each task, beside the weights and a decode, but not beside a forward.
        text, loading = 0, max(loading, text - denoising)
    if shape.memory == "offload":
        # One part is on the device at a time: the text encoders before anything is denoised.
        largest = max((one.parameters * size for one in parts.text_encoders), default=0)
        text, loading = 0, max(0, largest - denoiser - denoising)
    if shape.memory == "group_offload":
        text, denoiser, decoder, others = 0, GROUP_BYTES, 0, 0
    return Need(
        text_weights=text,
        denoiser_weights=denoiser,
        decoder_weights=decoder,
        other_weights=others,
        denoising=denoising,
        decoding=decoding,
        texts=TEXT_BYTES,
        runtime=RUNTIME_BYTES,
        loading=loading,
    )


def _quantized(denoiser: Component, size: int, quantization: str) -> int:
    """Bytes of its weights: linear layers are quantized, convolutions and tables are not."""
    if quantization == "none":
        return denoiser.parameters * size
    rest = denoiser.parameters - denoiser.linear_parameters
    return round(denoiser.linear_parameters * _LINEAR_BYTES[quantization]) + rest * size


def decoded_at_once(batch: int, pixels: int) -> int:
    """Images that a worker decodes together: a divisor of the batch, bounded by pixels."""
    most = max(1, DECODED_PIXELS // pixels)
    return max(one for one in range(1, batch + 1) if batch % one == 0 and one <= most)


def usable(gpu: Gpu) -> int:
    """Bytes of a card that a plan may fill."""
    return int(gpu.visible_bytes * (1 - HEADROOM))


def largest_batch(parts: Parts, shape: Shape, room: int) -> int:
    """The largest power of two that fits into so many bytes; 0 where not even one image does."""
    batch, fitting = 1, 0
    while batch <= LARGEST_BATCH and need(parts, _with_batch(shape, batch)).total <= room:
        batch, fitting = batch * 2, batch
    return fitting


def limit(parts: Parts, shape: Shape, room: int) -> str:
    """What stops a larger batch: what grows most beyond the largest one that fits; where none fits, what is largest."""
    fitting = largest_batch(parts, shape, room)
    if fitting == 0:
        return need(parts, _with_batch(shape, 1)).largest
    before, after = (need(parts, _with_batch(shape, batch)).items() for batch in (fitting, fitting * 2))
    grown = {name: more - less for (name, less), (_, more) in zip(before, after, strict=True)}
    return max(grown, key=lambda name: grown[name])


def _with_batch(shape: Shape, batch: int) -> Shape:
    return replace(shape, batch=batch)
