"""What a model is made of, and what each part takes, counted from its configuration."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueModel:
    """One row of `configs/model_catalogue.yaml`."""

    name: str
    repo: str
    """On the hub, or the name of a folder beside the profile."""
    family: str
    """As in `pipeline/renderers/diffusion/families.py`."""
    licence: str
    gated: bool = False
    precision: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    rows_per_image: int
    """Rows of the denoiser's batch that an image takes with guidance: 2, or 1 where guidance is distilled or off."""
    scheduler: str
    denoiser: str
    """Component, as in `configs/model_counts.json`."""
    decoder: str
    text_encoders: tuple[str, ...]
    others: tuple[str, ...] = ()
    """Parts that lie on the device, too, such as a safety checker; their arithmetic is not counted."""
    source: str
    as_of: str
    certain: bool = True
    note: str = ""

    def rows(self, guidance_scale: float | None = None) -> int:
        """Rows of the denoiser's batch that an image takes at this guidance; at the model's own where none is given."""
        return self.rows_per_image if guidance_scale is None or guidance_scale > 1 else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one row through a component takes at one size, counted."""

    pixels: int
    flops: int
    row_bytes: int
    """Most bytes of tensors that live at once beside the weights, at two bytes a number."""
    further_row_bytes: int
    """What each further row of the same batch adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A denoiser, a decoder or a text encoder, counted."""

    name: str
    parameters: int
    linear_parameters: int = 0
    """Those in linear layers, which quantization reaches."""
    embedding_parameters: int = 0
    """Those in tables, which cost memory and no arithmetic."""
    tokens: int = 0
    """Length of the text that a denoiser reads."""
    force_upcast: bool = False
    """A decoder that SDXL pipelines run in fp32."""
    tile_side: int = 512
    """Pixels on each side of the tiles in which a decoder can work."""
    certain: bool = True
    published_parameters: int | None = None
    """What its makers or others say; rounded as they round."""
    points: tuple[Point, ...] = ()

    def flops(self, pixels: int) -> float:
        """Arithmetic of one row at so many pixels; exact for layers, as it is a square function of the pixels."""
        return _square(self.points, pixels, [point.flops for point in self.points])

    def activation_bytes(self, pixels: int, rows: int) -> int:
        """Most bytes beside the weights at two bytes a number, for so many rows."""
        first = _line(self.points, pixels, [point.row_bytes for point in self.points])
        each = _line(self.points, pixels, [point.further_row_bytes for point in self.points])
        return round(first + (rows - 1) * each)


def _square(points: Sequence[Point], pixels: int, values: Sequence[int]) -> float:
    """The parabola through the three counted sizes that are nearest; through fewer where there are fewer."""
    near = sorted(range(len(points)), key=lambda at: abs(points[at].pixels - pixels))[:3]
    total = 0.0
    for one in near:
        weight = 1.0
        for other in near:
            if other != one:
                weight *= (pixels - points[other].pixels) / (points[one].pixels - points[other].pixels)
        total += values[one] * weight
    return total


def _line(points: Sequence[Point], pixels: int, values: Sequence[int]) -> float:
    """The line through the two counted sizes that are nearest; where one was counted, its share by pixels."""
    if len(points) == 1:
        return values[0] * pixels / points[0].pixels
    low, high = sorted(sorted(range(len(points)), key=lambda at: abs(points[at].pixels - pixels))[:2])
    slope = (values[high] - values[low]) / (points[high].pixels - points[low].pixels)
    return max(values[low] + slope * (pixels - points[low].pixels), 0.0)
