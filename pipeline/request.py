"""A request is one image to be: every parameter resolved, nothing left to defaults.

Its identity is the sha256 of its canonical JSON (RFC 8785, after typing), so `7` and `7.0` are one
and the same image whatever file, batch or job it stands in.
"""

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache

import rfc8785

REQUEST_SCHEMA = 1
"""Version of the canonical form; another version gives other image ids."""

MAX_SEED = 2**32 - 1
"""The largest seed that every generator and file format holds."""

_quote = json.encoder.encode_basestring
"""JSON string quoting as RFC 8785 asks for; the C implementation of the standard library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """One LoRA applied to the model."""

    revision: str
    """Immutable id of the weights, such as `sha256:...`."""
    scale: float
    """Strength, 1.0 is as trained."""
    source: str = field(compare=False)
    """Where workers load it from; no part of the identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """All of a request but its words and its seed: what requests of one task share."""

    model: str
    """Immutable id of the weights: `hub:<repo>@<commit>` or `sha256:<hash of the folder>`."""
    renderer: str
    """Name in the table of renderers."""
    pixel_version: int
    """The renderer's version of everything that decides pixels."""
    precision: str
    """`fp32`, `fp16` or `bf16`."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    steps: int
    """Denoising steps."""
    guidance_scale: float
    """Classifier-free guidance; 0.0 where the model has none."""
    scheduler: str
    """Scheduler name; empty for the model's own."""
    loras: tuple[Lora, ...] = ()
    """Applied in this order."""
    quantization: str = "none"
    """Of the denoiser: `none`, `int8`, `fp8` or `int4`."""
    step_cache: str = "none"
    """`none` or `mag`."""
    guidance_until: float = 1.0
    """Share of the steps that are guided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image to be."""

    prompt: str
    """What to draw; never empty."""
    negative_prompt: str
    """What not to draw; may be empty."""
    seed: int
    """0 to `MAX_SEED`; seeds the image's own generator."""
    variant: Variant
    """Everything else that decides the pixels."""

    @property
    def image_id(self) -> str:
        """64 hex digits: sha256 of `canonical`."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def canonical(self) -> bytes:
        """The request as RFC 8785 JSON, in UTF-8."""
        return canonical_json(self.variant, self.prompt, self.negative_prompt, self.seed)


def canonical_json(variant: Variant, prompt: str, negative_prompt: str, seed: int) -> bytes:
    """Canonical JSON of a request, spliced from the cached parts of its variant.

    Equal to `rfc8785.dumps(document(...))` (a test holds it so), at a tenth of the time.

    Raises:
        UnicodeEncodeError: `prompt` or `negative_prompt` holds a lone surrogate.
    """
    head, middle, tail, end = _parts(variant)
    text = f"{head}{_quote(negative_prompt)}{middle}{_quote(prompt)}{tail}{seed}{end}"
    return text.encode("utf-8")


def document(variant: Variant, prompt: str, negative_prompt: str, seed: int) -> dict[str, object]:
    """The request as plain JSON values: what an image's metadata carries.

    A lever that is not used is left out, so that an image keeps its id when new levers come.
    """
    cheaper: dict[str, object] = {
        "quantization": variant.quantization,
        "step_cache": variant.step_cache,
        "guidance_until": variant.guidance_until,
    }
    return {
        "schema": REQUEST_SCHEMA,
        "renderer": variant.renderer,
        "pixel_version": variant.pixel_version,
        "model": variant.model,
        "precision": variant.precision,
        "width": variant.width,
        "height": variant.height,
        "steps": variant.steps,
        "guidance_scale": variant.guidance_scale,
        "scheduler": variant.scheduler,
        "loras": [{"revision": lora.revision, "scale": lora.scale} for lora in variant.loras],
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "seed": seed,
    } | {name: value for name, value in cheaper.items() if value not in {"none", 1.0}}


@lru_cache(maxsize=4096)
def _parts(variant: Variant) -> tuple[str, str, str, str]:
    """The four constant pieces around negative prompt, prompt and seed, in RFC 8785 key order."""
    values = document(variant, "", "", 0)
    before = {key: value for key, value in values.items() if key < "negative_prompt"}
    between = {key: value for key, value in values.items() if "negative_prompt" < key < "prompt"}
    after = {key: value for key, value in values.items() if "prompt" < key < "seed"}
    last = {key: value for key, value in values.items() if key > "seed"}
    head = "{" + _members(before) + ',"negative_prompt":'
    middle = "," + _members(between) + ',"prompt":'
    tail = "," + _members(after) + ',"seed":'
    return head, middle, tail, "," + _members(last) + "}"


def _members(values: dict[str, object]) -> str:
    """The members of an object in canonical order, without the braces."""
    return rfc8785.dumps(values).decode("utf-8")[1:-1]  # type: ignore[arg-type]
