"""A request from the JSON document that a file carries; whatever the file may hold, it is a request or an error."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pipeline.request import MAX_SEED, REQUEST_SCHEMA, Lora, Request, Variant

_T = TypeVar("_T")


def request_of(values: object) -> Request:
    """A request from its JSON document, the inverse of `pipeline.request.document` but for where LoRAs are loaded from.

    Raises:
        ValueError, KeyError: a field is missing, of another type, or of another schema version.
    """
    members = _mapping(values)
    if members["schema"] != REQUEST_SCHEMA:
        raise ValueError(f"request schema {members['schema']!r}, this version reads {REQUEST_SCHEMA}")
    loras = members["loras"]
    if not isinstance(loras, list):
        raise ValueError("loras is no list")
    variant = Variant(
        model=_field(members, "model", _text),
        renderer=_field(members, "renderer", _text),
        pixel_version=_field(members, "pixel_version", _whole),
        precision=_field(members, "precision", _text),
        width=_field(members, "width", _whole),
        height=_field(members, "height", _whole),
        steps=_field(members, "steps", _whole),
        guidance_scale=_field(members, "guidance_scale", _number),
        scheduler=_field(members, "scheduler", _text),
        loras=tuple(_lora(_mapping(lora)) for lora in loras),
        quantization=_field(members, "quantization", _text) if "quantization" in members else "none",
        step_cache=_field(members, "step_cache", _text) if "step_cache" in members else "none",
        guidance_until=_field(members, "guidance_until", _number) if "guidance_until" in members else 1.0,
    )
    return Request(
        prompt=_field(members, "prompt", _text),
        negative_prompt=_field(members, "negative_prompt", _text),
        seed=_field(members, "seed", _seed),
        variant=variant,
    )


def _lora(members: Mapping[str, Any]) -> Lora:
    """A LoRA from its JSON document."""
    return Lora(revision=_field(members, "revision", _text), scale=_field(members, "scale", _number), source="")


def _field(members: Mapping[str, Any], name: str, convert: Callable[[object], _T]) -> _T:
    """One member, converted; the error names it."""
    try:
        return convert(members[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _mapping(value: object) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ValueError("an object was expected")
    return value


def _text(value: object) -> str:
    """A JSON string."""
    if not isinstance(value, str):
        raise ValueError("a text was expected")
    return value


def _whole(value: object) -> int:
    """A JSON number without a fraction."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number was expected")
    return value


def _seed(value: object) -> int:
    """A whole number from 0 to `MAX_SEED`."""
    seed = _whole(value)
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"a whole number from 0 to {MAX_SEED} was expected")
    return seed


def _number(value: object) -> float:
    """A finite JSON number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number was expected")
    return float(value)
