"""The `parameters` text that A1111's web UI writes and that other tools read: one line for the eye, not our record.

It follows from the request alone. What it cannot say exactly (revisions, precision, LoRAs) stands in our own JSON.
"""

import json

from pipeline.request import Request, Variant

_HASH_DIGITS = 10
"""A1111 shows so many digits of a model's hash."""


def parameters(request: Request) -> str:
    """Prompt, negative prompt and settings, as A1111 lays them out; NUL, which no image file holds, becomes a space."""
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in _settings(request)))
    return "\n".join(lines).replace("\0", " ")


def _settings(request: Request) -> list[tuple[str, str]]:
    """The last line's pairs, in A1111's order."""
    variant = request.variant
    pairs = [("Steps", str(variant.steps))]
    if variant.scheduler:
        pairs.append(("Sampler", variant.scheduler))
    pairs += [
        ("CFG scale", _number(variant.guidance_scale)),
        ("Seed", str(request.seed)),
        ("Size", f"{variant.width}x{variant.height}"),
        *_model(variant),
    ]
    if variant.loras:
        pairs.append(("Loras", ", ".join(f"{lora.revision}@{_number(lora.scale)}" for lora in variant.loras)))
    return pairs


def _model(variant: Variant) -> list[tuple[str, str]]:
    """Hash of the model and, when its immutable id tells it, its name: `hub:org/name@commit` or `sha256:hash`."""
    kind, _, rest = variant.model.partition(":")
    if kind == "hub":
        repository, _, commit = rest.rpartition("@")
        return [("Model hash", commit[:_HASH_DIGITS]), ("Model", repository.rpartition("/")[2])]
    return [("Model hash", rest[:_HASH_DIGITS])]


def _number(value: float) -> str:
    """7.0 as `7`, 7.5 as `7.5`."""
    return str(int(value)) if float(value).is_integer() else str(value)


def _quoted(value: str) -> str:
    """A value with a comma, colon or line break as a JSON string, the way A1111 reads it back."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ',:\n"') else value
