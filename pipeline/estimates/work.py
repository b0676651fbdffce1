"""How much arithmetic one image is."""

from dataclasses import dataclass

from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.models import CatalogueModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One image of a model, as the device sees it."""

    model: str
    """Name in the catalogue, or of a folder."""
    width: int
    height: int
    steps: int
    precision: str
    """`fp32`, `fp16` or `bf16`."""
    quantization: str = "none"
    """`none`, `fp8`, `int8` or `int4`, of the denoiser's layers."""
    compiled: bool = False
    teraflops: float
    """Counted arithmetic of the image: text, denoising and decoding."""


def work_of(
    catalogue: Catalogue,
    model: CatalogueModel,
    *,
    width: int | None = None,
    height: int | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    precision: str | None = None,
    quantization: str = "none",
    compiled: bool = False,
) -> Work:
    """The work of one image; what is left out is the model's own default."""
    width, height, steps = width or model.width, height or model.height, steps or model.steps
    flops = image_flops(catalogue, model, width=width, height=height, steps=steps, rows=model.rows(guidance_scale))
    return Work(
        model=model.name,
        width=width,
        height=height,
        steps=steps,
        precision=precision or model.precision,
        quantization=quantization,
        compiled=compiled,
        teraflops=flops / 1e12,
    )


def image_flops(
    catalogue: Catalogue, model: CatalogueModel, *, width: int, height: int, steps: int, rows: int
) -> float:
    """Operations of one image: its text read once by each encoder, `rows` rows of each step, one decode."""
    pixels = width * height
    denoiser, decoder = catalogue.components[model.denoiser], catalogue.components[model.decoder]
    encoders = [catalogue.components[name] for name in model.text_encoders]
    text = sum(2.0 * (one.parameters - one.embedding_parameters) * denoiser.tokens for one in encoders)
    return text + denoiser.flops(pixels) * rows * steps + decoder.flops(pixels)
