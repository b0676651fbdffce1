"""A stand-in for a diffusion model: tiny deterministic pictures, and a device that takes a set time for each batch.

It renders nothing that anyone would want to look at. It is for tests, rehearsals and benchmarks of everything around
the model. Options (all strings): `seconds_per_batch`, `seconds_per_image` (on top, for each image of the batch's
shape), `batch_size`, `width`, `height`, `load_seconds`, and `fail_load`, a message with which loading fails. None of
them decides pixels, which follow from the request alone: a photo-like scene of the size asked for, shifted by the image
id, with the id's 32 bytes in its first pixels.

Prompts may ask for trouble: `[[bad-request]]` is refused by the pipeline, `[[black]]` gives a black picture, `[[nan]]`
one with NaN, `[[blank]]` one that the safety checker blanked, `[[oom]]` does not fit in a batch of more than one,
`[[huge]]` not even alone, and `[[device-fault]]` breaks the device, so that its process must not render any more.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import (
    BadRequestError,
    DeviceBrokenError,
    HandedBackError,
    ModelError,
    ModelUnavailableError,
    OutOfMemoryError,
)
from pipeline.model import Model
from pipeline.performance import Levers
from pipeline.ports import Picture
from pipeline.record import Profile
from pipeline.renderers.scenery import draw_scenery
from pipeline.request import Request, Variant

PIXEL_VERSION = 1
_DEFAULTS = {
    "seconds_per_batch": "0",
    "seconds_per_image": "0",
    "batch_size": "8",
    "width": "64",
    "height": "64",
    "load_seconds": "0",
}
_LARGEST_SCENE = 1024
"""Pixels a side; larger pictures repeat it."""
_KEPT_SCENES = 4
"""Of so many shapes, the scenes last drawn are kept; one of 1024x1024 takes 12 MiB and half a second."""


class SyntheticKind:
    """The row `synthetic` of the table of renderers."""

    pixel_version = PIXEL_VERSION

    def __init__(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def resolve(self, source: str, **options: Any) -> Model:
        """A frozen stand-in. Raises: ModelError: an option that is unknown, or no such number."""
        given = {name: str(value) for name, value in options.items() if name != "precision"}
        for name in given:
            if name not in _DEFAULTS and name != "fail_load":
                raise ModelError(f"{source}: unknown option {name}; there are {', '.join([*_DEFAULTS, 'fail_load'])}")
        values = _DEFAULTS | given
        for name in ("batch_size", "width", "height"):
            if not values[name].isdecimal() or int(values[name]) < 1:
                raise ModelError(f"{source}: {name} must be a whole number from 1, got {values[name]!r}")
        for name in ("seconds_per_batch", "seconds_per_image", "load_seconds"):
            if not _is_duration(values[name]):
                raise ModelError(f"{source}: {name} must be a number of seconds, got {values[name]!r}")
        return Model(
            name=source,
            renderer="synthetic",
            pixel_version=PIXEL_VERSION,
            source=source,
            revision="synthetic:1",
            pipeline_class="",
            precision="fp32",
            unit=8,
            width=int(values["width"]),
            height=int(values["height"]),
            steps=1,
            guidance_scale=0.0,
            scheduler="",
            batch_size=int(values["batch_size"]),
            options=given,
        )

    def problem(self, model: Model, variant: Variant) -> str | None:
        """Everything can be rendered but schedulers and LoRAs, which would change nothing."""
        if variant.scheduler or variant.loras:
            return f"{model.name} is a stand-in: it has no schedulers and takes no loras"
        return None

    def lever_problem(self, model: Model, levers: Levers, gpus: Collection[str]) -> tuple[str, str] | None:
        """It has none that change pixels."""
        return next(((name, "a stand-in has no levers") for name in levers.pixel_fields()), None)

    def count_tokens(self, model: Model, prompt: str) -> int | None:
        """Not known."""
        return None

    def load(self, model: Model, *, device: str, threads: int) -> "SyntheticRenderer":
        """Take `load_seconds`, then be ready. Raises: ModelUnavailableError: if `fail_load` says so."""
        values = _DEFAULTS | model.options
        self._sleep(float(values["load_seconds"]))
        if message := values.get("fail_load"):
            raise ModelUnavailableError(message)
        return SyntheticRenderer(model, device=device, threads=threads, sleep=self._sleep)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latents:
    """What a batch would be between denoising and decoding."""

    requests: tuple[Request, ...]


class SyntheticRenderer:
    """A loaded stand-in; the scene of the model's own size is drawn at once, as a part of loading."""

    def __init__(self, model: Model, *, device: str, threads: int, sleep: Callable[[float], None]) -> None:
        values = _DEFAULTS | model.options
        self._seconds = float(values["seconds_per_batch"])
        self._seconds_each = float(values["seconds_per_image"])
        self._batch_size = model.batch_size or int(values["batch_size"])
        self._device = device
        self._threads = threads
        self._sleep = sleep
        self._interrupted = threading.Event()
        self._scenes: dict[tuple[int, int], NDArray[np.uint8]] = {}
        self._scene(model.width, model.height)

    def profile(self, variant: Variant, *, batch_size: int) -> Profile:
        """The stand-in's own version is all that decides its bits."""
        return Profile(
            device=f"synthetic-{self._device}",
            versions={"synthetic": str(PIXEL_VERSION)},
            batch_size=batch_size,
            precision=variant.precision,
            threads=self._threads,
        )

    def batch_size(self, variant: Variant) -> int:
        """As the options say."""
        return self._batch_size

    def denoise(self, batch: Sequence[Request], *, batch_size: int) -> _Latents:
        """Take the set time. Raises: BadRequestError, OutOfMemoryError, ...: where a prompt asks for it, at once."""
        for request in batch:
            if "[[bad-request]]" in request.prompt:
                raise BadRequestError("the prompt asks for [[bad-request]]")
            if "[[oom]]" in request.prompt and batch_size > 1:
                raise OutOfMemoryError("the prompt asks for [[oom]]")
            if "[[huge]]" in request.prompt:
                raise OutOfMemoryError("the prompt asks for [[huge]]")
            if "[[device-fault]]" in request.prompt:
                raise DeviceBrokenError("the prompt asks for [[device-fault]]")
        self._interrupted.clear()
        seconds = self._seconds + self._seconds_each * batch_size
        if self._sleep is not time.sleep:
            self._sleep(seconds)
        elif self._interrupted.wait(seconds):
            raise HandedBackError("the batch was interrupted")
        return _Latents(requests=tuple(batch))

    def interrupt(self) -> None:
        """End the batch that is being denoised, where it takes real time."""
        self._interrupted.set()

    def decode(self, latents: _Latents) -> Sequence[Picture]:
        """A cut of the scene for each request, or what its prompt asks for."""
        return [self._picture(request) for request in latents.requests]

    def peak_memory_bytes(self) -> int:
        """A stand-in holds nothing."""
        return 0

    def close(self) -> None:
        """Let go of the scenes."""
        self._scenes.clear()

    def _picture(self, request: Request) -> Picture:
        """The picture of one request."""
        prompt, width, height = request.prompt, request.variant.width, request.variant.height
        finite, blanked = "[[nan]]" not in prompt, "[[blank]]" in prompt
        if "[[black]]" in prompt or blanked or not finite:
            pixels: NDArray[np.uint8] = np.zeros((height, width, 3), dtype=np.uint8)
        else:
            pixels = self._cut(width, height, hashlib.sha256(request.canonical()).digest())
        return Picture(pixels=pixels, finite=finite, blanked=blanked)

    def _cut(self, width: int, height: int, digest: bytes) -> NDArray[np.uint8]:
        """The scene from a place that `digest` decides, and `digest` itself, so that no two requests look the same."""
        scene = self._scene(width, height)
        number = int.from_bytes(digest[:8], "big")
        top, left = number % (scene.shape[0] - height + 1), (number >> 32) % (scene.shape[1] - width + 1)
        pixels = scene[top : top + height, left : left + width].copy()
        stamp = pixels.reshape(-1)[: len(digest)]
        stamp[:] = np.frombuffer(digest, np.uint8)[: stamp.size]
        return pixels

    def _scene(self, width: int, height: int) -> NDArray[np.uint8]:
        """A scene twice as wide and high as asked for, repeating, so that every shift is one plain copy."""
        scene = self._scenes.get((width, height))
        if scene is None:
            drawn = draw_scenery(min(width, _LARGEST_SCENE), min(height, _LARGEST_SCENE), seed=PIXEL_VERSION)
            rows, columns = -(-2 * height // drawn.shape[0]), -(-2 * width // drawn.shape[1])
            scene = np.tile(drawn, (rows, columns, 1))[: 2 * height, : 2 * width]
            if len(self._scenes) >= _KEPT_SCENES:
                self._scenes.pop(next(iter(self._scenes)))
            self._scenes[width, height] = scene
        return scene


def _is_duration(text: str) -> bool:
    """Whether this is a number of seconds that one can wait."""
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False
