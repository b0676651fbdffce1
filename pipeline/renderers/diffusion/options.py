"""The options of a diffusers model, as a job file or a profile gives them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from pipeline.errors import ModelError

PRECISIONS = ("fp32", "fp16", "bf16")
"""What weights and arithmetic can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All options; None leaves the choice to the model."""

    name: str | None = None
    """What to call the model; its source when not given."""
    precision: str = "fp32"
    """`fp32`, `fp16` or `bf16`."""
    revision: str = "main"
    """Branch, tag or commit of a hub repository."""
    variant: str = ""
    """Which set of weights, such as `fp16`; empty for the plain ones."""
    width: int | None = None
    """Default width, pixels."""
    height: int | None = None
    """Default height, pixels."""
    steps: int | None = None
    """Default steps."""
    guidance_scale: float | None = None
    """Default guidance."""
    scheduler: str = ""
    """Default scheduler."""
    batch_size: int | None = None
    """Preferred device batch."""
    pipeline: str | None = None
    """diffusers class to load with, instead of the model's own."""
    config: str | None = None
    """For a single file: the diffusers folder with the configurations and tokenizers that belong to it."""
    allow_pickle: bool = False
    """Load pickled weights where there are no safetensors; they can run code."""
    allow_remote_code: bool = False
    """Run Python code that the model brings."""


def parse_options(place: str, values: Mapping[str, Any]) -> Options:
    """Check and type the options; texts are read as what they say.

    Raises:
        ModelError: an unknown option, or a value that makes no sense.
    """
    known = {field.name for field in fields(Options)}
    parsed: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ModelError(f"{place}: unknown model option {key!r}{hint} (there are {', '.join(sorted(known))})")
        if value is None:
            continue
        read, expected = _READERS.get(key, (_text, "text"))
        try:
            parsed[key] = read(value)
        except (TypeError, ValueError):
            raise ModelError(f"{place}: model option {key} must be {expected}, got {value!r}") from None
    return Options(**parsed)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _positive(value: Any) -> int:
    number = int(value)
    if isinstance(value, bool) or number != float(value) or number < 1:
        raise ValueError
    return number


def _guidance(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise ValueError
    return number


def _flag(value: Any) -> bool:
    word = str(value).lower()
    if word not in ("true", "false"):
        raise ValueError
    return word == "true"


def _precision(value: Any) -> str:
    if value not in PRECISIONS:
        raise ValueError
    return str(value)


_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "precision": (_precision, "fp32, fp16 or bf16"),
    "width": (_positive, "a whole number of pixels"),
    "height": (_positive, "a whole number of pixels"),
    "steps": (_positive, "a whole number from 1"),
    "batch_size": (_positive, "a whole number from 1"),
    "guidance_scale": (_guidance, "a number from 0"),
    "allow_pickle": (_flag, "true or false"),
    "allow_remote_code": (_flag, "true or false"),
}
