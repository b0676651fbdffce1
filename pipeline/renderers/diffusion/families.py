"""What is known of each family of pipelines before anything is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One architecture: how its pipelines draw, guide and read text."""

    name: str
    """Short name: `sd`, `sdxl`, `sd3`, `flux`, `pixart`; `other` for a pipeline that we know only by its call."""
    pipelines: Mapping[str, int | None] = field(default_factory=dict)
    """diffusers class -> tokens at which it cuts a prompt off; None: the tokenizer's own limit."""
    backbone: str = "transformer"
    """The component that denoises."""
    flow: bool | None = False
    """Trained by flow matching, not to predict noise; None: unknown."""
    passes_generator: bool | None = True
    """Hands the images' generators to the scheduler's steps; None: unknown."""
    negative_prompt: bool = True
    """Takes a negative prompt."""
    masks_text: bool = False
    """Its attention to the text has a mask."""
    packing: int = 1
    """Latent pixels, in width and in height, that one token of the transformer is packed from."""
    multiple: int = 8
    """The pipeline's own check: width and height must be multiples of this, whatever the VAE."""
    sample_size: int = 128
    """Latent width and height where the configuration names none."""
    steps: int = 30
    """Default steps."""
    guidance_scale: float = 7.0
    """Default guidance."""


OTHER = Family(name="other", flow=None, passes_generator=None)
"""A pipeline that none of the families names: rendered by its own call, one image at a time."""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="sd",
        pipelines=MappingProxyType({"StableDiffusionPipeline": None}),
        backbone="unet",
        sample_size=64,
        guidance_scale=7.5,
    ),
    Family(
        name="sdxl",
        pipelines=MappingProxyType({"StableDiffusionXLPipeline": None}),
        backbone="unet",
        guidance_scale=5.0,
    ),
    Family(
        name="sd3",
        pipelines=MappingProxyType({"StableDiffusion3Pipeline": 256}),
        multiple=1,
        flow=True,
        passes_generator=False,
        steps=28,
    ),
    Family(
        name="flux",
        pipelines=MappingProxyType({"FluxPipeline": 512}),
        flow=True,
        passes_generator=False,
        negative_prompt=False,
        multiple=1,
        packing=2,
        steps=28,
        guidance_scale=3.5,
    ),
    Family(
        name="pixart",
        pipelines=MappingProxyType({"PixArtAlphaPipeline": 120, "PixArtSigmaPipeline": 300}),
        masks_text=True,
        steps=20,
        guidance_scale=4.5,
    ),
)
"""Every family whose text, latents and decoding we handle ourselves."""

NOT_TEXT_TO_IMAGE = ("Img2Img", "Inpaint", "ControlNet", "Upscale", "Video", "Audio", "Kontext", "Edit", "Prior")
"""Parts of class names of pipelines that need more than a prompt."""


def family_of(pipeline_class: str) -> Family:
    """The family of a diffusers pipeline class, `OTHER` when none names it."""
    return next((family for family in FAMILIES if pipeline_class in family.pipelines), OTHER)
