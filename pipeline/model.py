"""A model as a job freezes it: immutable weights, and what its architecture allows."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model of a job, resolved at submit; the JSON form stands in `job.json`."""

    name: str
    """As the user wrote it: a profile's name, a hub repository, a folder or a file."""
    renderer: str
    """Name in the table of renderers."""
    pixel_version: int
    """The renderer's version of everything that decides pixels; frozen, and checked at every resume."""
    source: str
    """Where workers load it from: an absolute folder or file, or a hub repository."""
    revision: str
    """Immutable id: `hub:<repo>@<commit>`, or `sha256:<hash over weights and configs>`."""
    pipeline_class: str
    """The diffusers pipeline class, such as `StableDiffusionPipeline`; empty for other renderers."""
    precision: str
    """`fp32`, `fp16` or `bf16`."""
    unit: int
    """Width and height must be multiples of this many pixels."""
    width: int
    """Default width, pixels."""
    height: int
    """Default height, pixels."""
    steps: int
    """Default number of denoising steps."""
    guidance_scale: float
    """Default guidance."""
    scheduler: str
    """Default scheduler; empty for the one in the model's own folder."""
    max_prompt_tokens: int | None = None
    """The text encoder cuts a prompt off here; None when unknown."""
    takes_negative_prompt: bool = True
    """False where a negative prompt would have no effect; one is refused then."""
    batch_size: int | None = None
    """Preferred device batch; None lets the worker choose by its memory."""
    options: dict[str, str] = field(default_factory=dict)
    """The renderer's own options, all strings; must not decide pixels unless they are in `revision`."""
    levers: dict[str, Any] = field(default_factory=dict)
    """Levers of the performance profile that change pixels, by the name of the request's field; empty for none."""
    distilled: dict[str, Any] = field(default_factory=dict)
    """Fields of `pipeline.distilled.Distilled`; empty for none."""
    weights: dict[str, str] = field(default_factory=dict)
    """Where its files lie in the store: `manifest` is the key, `content` what that must name; empty: by `source`."""
    max_pixels: int = 4096 * 4096
    """Width x height above this is refused as absurd."""
