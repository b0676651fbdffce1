"""A performance profile: every lever on dollars per image, which of them change pixels, and what each profile sets.

What changes pixels goes into the request, hence into the image id; the rest is told in the profile of the record.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Levers:
    """How a model is made to render. The first four change pixels."""

    quantization: str = "none"
    """Weights and arithmetic of the denoiser: `none`, `int8` (dynamic), `fp8` (per row; sm89 and later), `int4`."""
    step_cache: str = "none"
    """`none`, or `mag`: steps whose output is foreseeable are skipped; decides by the step, never by neighbours."""
    guidance_until: float = 1.0
    """Share of the steps with guidance, from 0 to 1; the later ones go without, at half the work."""
    distilled: str = "off"
    """`on`: a LoRA that needs fewer steps, where the model's profile or the job file names one; `off`."""
    compile: str = "auto"
    """`auto`: where it repays itself; `on`: whatever it costs; `off`."""
    attention: str = "auto"
    """Torch's kernel for attention: `auto`: the fastest that takes the call; `flash`, `efficient`, `cudnn`, `math`.
    They differ in the last bits, as compiled code does."""
    channels_last: str = "auto"
    """Memory order that convolutions like: `auto` for UNets on a GPU; `on`; `off`."""
    memory: str = "auto"
    """`auto`: what it takes for the model to fit; `fit`: nothing, refuse; `text_offload`: text encoders wait on the
    host, but while they encode the prompts of a task; `tiling`, `offload`, `group_offload`."""

    def pixel_fields(self) -> dict[str, Any]:
        """What goes into the request, by the name of the field there; only what differs from none."""
        return {name: getattr(self, name) for name in PIXEL_LEVERS if getattr(self, name) != getattr(_NONE, name)}

    def options(self) -> dict[str, str]:
        """What the worker that loads the model is told beside the request, as options of the frozen model."""
        told = {name: str(value) for name, value in asdict(self).items() if name not in _AT_SUBMIT}
        return {f"{_PREFIX}{name}": text for name, text in told.items() if name not in _LATER or text != _LATER[name]}


PIXEL_LEVERS: Final = ("quantization", "step_cache", "guidance_until")
"""Levers that are fields of the request's variant."""

_AT_SUBMIT: Final = (*PIXEL_LEVERS, "distilled")
"""Levers of which a worker is told by the request and the model."""

_LATER: Final[Mapping[str, str]] = MappingProxyType({"attention": "auto"})
"""Levers that came later -> the value that is not told, so that what a store has learned of models stays theirs."""

_NONE: Final = Levers()

_PREFIX: Final = "lever_"

CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "quantization": ("none", "int8", "fp8", "int4"),
        "step_cache": ("none", "mag"),
        "distilled": ("on", "off"),
        "compile": ("auto", "on", "off"),
        "attention": ("auto", "flash", "efficient", "cudnn", "math"),
        "channels_last": ("auto", "on", "off"),
        "memory": ("auto", "fit", "tiling", "text_offload", "offload", "group_offload"),
    }
)
"""The words that a lever takes."""

PROFILES: Final[Mapping[str, Levers]] = MappingProxyType(
    {
        "plain": Levers(compile="off", channels_last="off", memory="fit"),
        "safe": Levers(),
        "fast": Levers(quantization="fp8"),
        "max": Levers(quantization="fp8", step_cache="mag", guidance_until=0.6, distilled="on"),
    }
)
"""`plain`: as diffusers does; `safe`: the same image to the eye; `fast`: quantized; `max`: fewer and cheaper steps.

What a model or a GPU cannot do is dropped from a profile before the job is frozen, and said; a lever that the user
names by itself is refused instead.
"""


def frozen_levers(pixel_levers: Mapping[str, Any], options: Mapping[str, str]) -> Levers:
    """The levers of a frozen model; those of `plain` where it has none.

    Args:
        pixel_levers: `Model.levers`.
        options: `Model.options`.
    """
    told: dict[str, Any] = {
        name.removeprefix(_PREFIX): text for name, text in options.items() if name.startswith(_PREFIX)
    }
    return replace(PROFILES["plain"], **told, **pixel_levers)
