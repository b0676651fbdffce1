"""One manifest row, typed: every value is checked for what it is alone; what the model allows is checked later."""

import difflib
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, cast

from pipeline.manifest.problems import FieldError, Problems, shown
from pipeline.request import MAX_SEED

MAX_PROMPT = 100_000
"""Characters of a prompt or negative prompt."""

MAX_CUSTOM_ID = 512
"""Characters of a custom id."""

MAX_STEPS = 1000
"""Denoising steps: the number of timesteps that diffusion models are trained with."""

MAX_GUIDANCE = 100.0
"""Guidance above this is a slip of the keyboard."""

_MAX_TAGS = 64
_MAX_TAG = 1024
_MAX_LORAS = 16

_NEVER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but tab and line ends, and halves of surrogate pairs."""

_NEVER_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""The same with tab and line ends: for what is one line by its nature."""


class LoraChoice(NamedTuple):
    """A LoRA as a row names it."""

    source: str
    """Folder or hub repository."""
    scale: float = 1.0
    """Strength, 1.0 is as trained."""


class Row(NamedTuple):
    """One manifest row, each value of the right type or None where the row leaves it open.

    A tuple, since a million of them are made: a frozen dataclass takes four times as long to build.
    """

    line: int
    """1-based line of its first character; for Parquet the 1-based row."""
    prompt: str
    """What to draw; empty only in a row that is not `sound`."""
    model: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    loras: tuple[LoraChoice, ...] | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    custom_id: str | None = None
    tags: Mapping[str, str] = MappingProxyType({})
    sound: bool = True
    """False when a problem of this row was reported; it is never rendered, only checked further."""

    def choices(self) -> tuple[object, ...]:
        """Model to LoRAs: the fields that decide the row's variant, which is why they stand side by side."""
        return self[2:9]


def row_of(
    values: Mapping[str, object], line: int, problems: Problems, *, tag_hint: str = '{"tags": {"%s": ...}}'
) -> Row:
    """Check one row's values; `None` means that the row leaves the field open.

    Args:
        values: field name -> value, as the format gives it.
        line: 1-based line or row, for messages.
        problems: takes every problem of the row.
        tag_hint: how a free column is written in this format, with one `%s` for its name.
    """
    typed: dict[str, object] = {}
    before = problems.count
    for name, value in values.items():
        if value is None:
            continue
        check = FIELDS.get(name)
        if check is None:
            problems.add(line, unknown_field(name, tag_hint))
            continue
        try:
            typed[name] = check(value)
        except FieldError as error:
            problems.add(line, f"{name} {error}")
    if "prompt" not in typed:
        if values.get("prompt") is None:
            problems.add(line, "prompt is missing; every row needs one")
        typed["prompt"] = ""
    if problems.count != before:
        typed["sound"] = False
    return Row(line=line, **typed)  # type: ignore[arg-type]


@lru_cache(maxsize=256)
def unknown_field(name: str, tag_hint: str) -> str:
    """What to say of a field that there is not: the nearest known one, or how to make it a tag."""
    nearest = _SYNONYMS.get(name.strip().lower()) or next(
        iter(difflib.get_close_matches(name.strip().lower()[:64], list(FIELDS), n=1, cutoff=0.7)), None
    )
    hint = f"did you mean {nearest}?" if nearest else f"known are {', '.join(FIELDS)}"
    tag = tag_hint.replace("%s", shown(name)[1:-1])
    return f"unknown field {shown(name)}: {hint} (a column of your own is written {tag})"


def _text(value: object, limit: int) -> str:
    """Text of at most `limit` characters, tabs and line ends allowed and kept as they are."""
    if type(value) is not str:
        raise FieldError(f"must be text, got {shown(value)}")
    if len(value) > limit:
        raise FieldError(f"has {len(value):,} characters, at most {limit:,} are allowed; shorten it")
    if not value.isprintable() and (found := _NEVER.search(value)):
        raise FieldError(_forbidden(found, "remove it (tabs and line ends are allowed)"))
    return value


def _name(value: object, limit: int) -> str:
    """One line of text of at most `limit` characters, not empty."""
    text = _text(value, limit)
    if not text or text.isspace():
        raise FieldError("is empty; leave it out or give it a value")
    if not text.isprintable() and (found := _NEVER_IN_NAMES.search(text)):
        raise FieldError(_forbidden(found, "remove it"))
    return text


def _forbidden(found: re.Match[str], remedy: str) -> str:
    """What to say of a character that must not stand in a text."""
    char = found.group()
    place = f"at position {found.start() + 1}"
    if "\ud800" <= char <= "\udfff":
        return f"holds half of a surrogate pair, {shown(char)[1:-1]}, {place}; write the whole character in UTF-8"
    return f"holds the control character {shown(char)[1:-1]} {place}; {remedy}"


def _prompt(value: object) -> str:
    text = _text(value, MAX_PROMPT)
    if not text or text.isspace():
        raise FieldError("is empty; write what to draw, or remove the row")
    return text


def _negative_prompt(value: object) -> str:
    return _text(value, MAX_PROMPT)


def _custom_id(value: object) -> str:
    return _name(value, MAX_CUSTOM_ID)


def _scheduler(value: object) -> str:
    return "" if value == "" else _name(value, 128)


def _model(value: object) -> str:
    return _name(value, 1024)


def _whole(value: object, low: int, high: int) -> int:
    """A whole number; a float, even 3.0, and a boolean are none."""
    if type(value) is int and low <= value <= high:
        return value
    raise FieldError(f"must be a whole number from {low} to {high}, got {shown(value)}")


def _seed(value: object) -> int:
    return _whole(value, 0, MAX_SEED)


def _pixels(value: object) -> int:
    return _whole(value, 1, 65536)


def _steps(value: object) -> int:
    return _whole(value, 1, MAX_STEPS)


def _number(value: object, low: float, high: float) -> float:
    """A finite number, whole or not."""
    if type(value) in (int, float):
        number = cast("float", value)
        if low <= number <= high and math.isfinite(number):
            return float(number) + 0.0  # -0.0 becomes 0.0: they are one request
    raise FieldError(f"must be a number from {low:g} to {high:g}, got {shown(value)}")


def _guidance(value: object) -> float:
    return _number(value, 0.0, MAX_GUIDANCE)


def _loras(value: object) -> tuple[LoraChoice, ...]:
    """A list of sources, or of `{"source": ..., "scale": ...}`."""
    if not isinstance(value, list | tuple) or len(value) > _MAX_LORAS:
        raise FieldError(f'must be a list of at most {_MAX_LORAS}, such as [{{"source": "folder", "scale": 0.8}}]')
    return tuple(_lora(item) for item in value)


def _lora(item: object) -> LoraChoice:
    values = {"source": item} if isinstance(item, str) else item
    if not isinstance(values, dict) or "source" not in values or not values.keys() <= {"source", "scale"}:
        raise FieldError('must hold sources or {"source": ..., "scale": ...}, got ' + shown(item))
    scale = values.get("scale")
    return LoraChoice(_name(values["source"], 1024), 1.0 if scale is None else _number(scale, -10.0, 10.0))


def _tags(value: object) -> Mapping[str, str]:
    """Names to texts, sorted by name, so that two orders of writing are one manifest."""
    if not isinstance(value, dict) or len(value) > _MAX_TAGS:
        raise FieldError(f"must be an object of at most {_MAX_TAGS} names and texts, got {shown(value)}")
    return {tag: _tag(tag, value[tag]) for tag in sorted(value)}


def _tag(tag: object, text: object) -> str:
    try:
        _name(tag, 128)
        if _NEVER_IN_NAMES.search(value := _text(text, _MAX_TAG)):
            raise FieldError("holds a tab or a line end; remove it")
    except FieldError as error:
        raise FieldError(f"{shown(tag)} {error}") from None
    return value


FIELDS: Mapping[str, Callable[[object], object]] = MappingProxyType(
    {
        "prompt": _prompt,
        "custom_id": _custom_id,
        "negative_prompt": _negative_prompt,
        "seed": _seed,
        "width": _pixels,
        "height": _pixels,
        "steps": _steps,
        "guidance_scale": _guidance,
        "scheduler": _scheduler,
        "model": _model,
        "loras": _loras,
        "tags": _tags,
    }
)
"""Every field of a row, and the check that returns its typed value or raises FieldError."""

_SYNONYMS = MappingProxyType(
    {
        "id": "custom_id",
        "name": "custom_id",
        "key": "custom_id",
        "filename": "custom_id",
        "text": "prompt",
        "caption": "prompt",
        "negative": "negative_prompt",
        "cfg": "guidance_scale",
        "cfg_scale": "guidance_scale",
        "guidance": "guidance_scale",
        "num_inference_steps": "steps",
        "sampler": "scheduler",
        "checkpoint": "model",
        "metadata": "tags",
    }
)
"""What other tools call our fields."""
