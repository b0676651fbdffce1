"""One loaded pipeline on one device, behind the port `Renderer`."""

import gc
import importlib.metadata
import logging
import resource
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch

from pipeline.distilled import distilled_of
from pipeline.errors import BadRequestError
from pipeline.model import Model
from pipeline.ports import Compiled, Picture
from pipeline.record import Profile
from pipeline.renderers.diffusion.adapters import Adapters
from pipeline.renderers.diffusion.applying import cache_steps
from pipeline.renderers.diffusion.compilation import (
    COMPILE_ERRORS,
    Compilation,
    GraphShape,
    load_code,
    saved_code,
)
from pipeline.renderers.diffusion.decoding import decode_batch
from pipeline.renderers.diffusion.drawing import Latents, draw_latents, draw_whole
from pipeline.renderers.diffusion.encoding import Embeddings, TextCache, is_guided
from pipeline.renderers.diffusion.families import OTHER, family_of
from pipeline.renderers.diffusion.faults import device_faults, one_line
from pipeline.renderers.diffusion.fitting import images_that_fit, weights_of
from pipeline.renderers.diffusion.text_encoders import TextEncoders, text_encoders_of
from pipeline.request import Lora, Request, Variant
from pipeline.working.compile_decision import CompileTerms

_LOG = logging.getLogger(__name__)

TEXT_CACHE_BYTES = 256 << 20
"""Embeddings kept on the device; a text of FLUX takes 4 MiB."""


class DiffusersRenderer:
    """One pipeline. `denoise` belongs to one thread, `decode` to another; they share only weights that none changes."""

    def __init__(
        self,
        pipe: Any,
        model: Model,
        *,
        device: str,
        threads: int,
        levers: tuple[str, ...] = (),
        compilation: Compilation | None = None,
    ) -> None:
        self._pipe = pipe
        self._compilation = compilation
        self._model = model
        self._family = family_of(model.pipeline_class)
        self._threads = threads
        self._own_scheduler = getattr(pipe, "scheduler", None)
        self._device = torch.device(device)
        self._encoders = TextEncoders(pipe, self._device) if "text_offload" in levers else None
        leaving = text_encoders_of(pipe).values() if self._encoders is not None else ()
        self._weights = weights_of(pipe, without=tuple(leaving))
        self._texts = TextCache(pipe, self._family, limit_bytes=TEXT_CACHE_BYTES, encoders=self._encoders)
        distilled = distilled_of(model)
        self._adapters = Adapters(pipe, merged=distilled.lora if distilled else None)
        self._levers = levers
        self._cached_steps = model.steps
        """Over how many steps a step cache is spread."""
        self._interrupted = threading.Event()
        self._decode_stream = _new_stream(self._device)

    def profile(self, variant: Variant, *, batch_size: int) -> Profile:
        name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"
        return Profile(
            device=name,
            versions=_versions(self._device),
            batch_size=batch_size,
            precision=variant.precision,
            threads=self._threads,
            levers=(*self._levers, *self._compiled(variant, batch_size)),
        )

    def batch_size(self, variant: Variant) -> int:
        if self._family is OTHER:
            return 1
        return self._model.batch_size or images_that_fit(self._weights, variant, self._device)

    def denoise(self, batch: Sequence[Request], *, batch_size: int) -> Latents:
        variant = self._checked(batch, batch_size)
        self._interrupted.clear()
        with device_faults(), torch.no_grad():
            self._activate(variant.loras)
            if self._family is OTHER:
                pictures = tuple(draw_whole(self._pipe, self._own_scheduler, request) for request in batch)
                return Latents(variant=variant, count=len(batch), values=None, pictures=pictures)
            padded = [*batch, *[batch[-1]] * (batch_size - len(batch))]
            if self._compilation is not None and self._compilation.must:
                self._compile(padded)
            embeddings = self._embedded(padded)
            values = self._drawn(embeddings, padded)
            if self._decode_stream is not None:
                torch.cuda.current_stream(self._device).synchronize()
        dtype = embeddings["prompt_embeds"].dtype
        latents = Latents(variant=variant, count=len(batch), values=values, text_dtype=dtype)
        if self._device.type != "cpu":
            return latents
        # Decoding beside the next batch would fight with it for the same cores: 7 % slower than one after the other.
        return replace(latents, values=None, pictures=tuple(self.decode(latents)))

    def interrupt(self) -> None:
        """See `pipeline.ports.Interruptible`."""
        self._interrupted.set()

    def decode(self, latents: Latents) -> Sequence[Picture]:
        if latents.values is None:
            return latents.pictures
        with device_faults(), self._on_decode_stream(latents):
            return decode_batch(
                self._pipe,
                self._family,
                latents.values,
                latents.variant,
                count=latents.count,
                text_dtype=latents.text_dtype,
            )

    def peak_memory_bytes(self) -> int:
        if self._device.type != "cuda":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        most = torch.cuda.max_memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        return most

    def close(self) -> None:
        if not hasattr(self, "_pipe"):
            return
        del self._pipe, self._texts, self._encoders, self._adapters, self._own_scheduler
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def expect(self, requests: Sequence[Request]) -> None:
        """See `pipeline.ports.Foreseeing`."""
        self._texts.expect(requests)

    def _activate(self, loras: tuple[Lora, ...]) -> None:
        """Make these LoRAs act, of which parts may belong to the text encoders."""
        if self._encoders is not None and not self._adapters.acts(loras):
            self._encoders.bring()
        self._adapters.activate(loras)

    def _embedded(self, batch: Sequence[Request]) -> Embeddings:
        """The batch's texts; afterwards the device has room for its latents."""
        embeddings = self._texts.arguments(batch)
        if self._encoders is not None:
            self._encoders.send_away()
        return embeddings

    def uncompiled(self, variant: Variant, *, batch_size: int) -> CompileTerms | None:
        """See `pipeline.ports.Compilable`."""
        if self._compilation is None:
            return None
        return self._compilation.terms(self._graph_shape(variant, batch_size))

    def compile(self, batch: Sequence[Request], *, batch_size: int, code: bytes) -> Compiled:
        """See `pipeline.ports.Compilable`."""
        variant = self._checked(batch, batch_size)
        self._interrupted.clear()
        if self._compilation is None:
            return Compiled(problem="it was told not to be compiled")
        reused = load_code(code)
        with device_faults(), torch.no_grad():
            self._activate(variant.loras)
            self._compile([*batch, *[batch[-1]] * (batch_size - len(batch))])
        if problem := self._compilation.problem:
            return Compiled(problem=problem)
        return Compiled(code=b"" if reused else saved_code(), reused=reused)

    def _compile(self, batch: Sequence[Request]) -> None:
        """Draw two steps of a full batch for show, so that all graphs of its shape are there before one counts."""
        shape = self._graph_shape(batch[0].variant, len(batch))
        if self._compilation is None or self._compilation.terms(shape) is None:
            return
        until = 1.0 if batch[0].variant.guidance_until >= 1 else 0.5
        variant = replace(batch[0].variant, steps=2, guidance_until=until)
        embeddings = self._embedded(batch)
        try:
            with self._compilation.compiling(shape):
                self._latents(embeddings, [replace(request, variant=variant) for request in batch])
        except COMPILE_ERRORS as error:
            self._compilation.give_up(one_line(error))

    def _drawn(self, embeddings: Embeddings, batch: Sequence[Request]) -> torch.Tensor:
        """The latents of a batch; a model that cannot be compiled here goes on as it is, and its profile says so."""
        variant = batch[0].variant
        if variant.step_cache != "none" and variant.steps != self._cached_steps:
            cache_steps(getattr(self._pipe, self._family.backbone), variant.steps)
            self._cached_steps = variant.steps
        if self._compilation is None:
            return self._latents(embeddings, batch)
        self._compilation.choose(self._graph_shape(batch[0].variant, len(batch)))
        try:
            return self._latents(embeddings, batch)
        except COMPILE_ERRORS as error:
            self._compilation.give_up(one_line(error))
            _LOG.warning("%s is rendered without compilation: %s", self._model.name, self._compilation.problem)
            return self._latents(embeddings, batch)

    def _latents(self, embeddings: Embeddings, batch: Sequence[Request]) -> torch.Tensor:
        stop = self._interrupted.is_set
        backbone = getattr(self._pipe, self._family.backbone)
        if hasattr(backbone, "_reset_stateful_cache"):  # a pass that was interrupted leaves its steps behind
            backbone._reset_stateful_cache()  # noqa: SLF001 - what the pipeline itself calls at the end of a pass
        return draw_latents(self._pipe, self._family, self._own_scheduler, embeddings, batch, interrupted=stop)

    def _compiled(self, variant: Variant, batch_size: int) -> tuple[str, ...]:
        """The lever's name, where batches of this shape run compiled."""
        compilation = self._compilation
        if compilation is None or not compilation.has(self._graph_shape(variant, batch_size)):
            return ()
        return (compilation.lever,)

    def _graph_shape(self, variant: Variant, batch_size: int) -> GraphShape:
        """What the graph of a batch follows from."""
        return GraphShape(
            width=variant.width,
            height=variant.height,
            batch_size=batch_size,
            guided=is_guided(self._pipe, self._family, variant.guidance_scale),
            guidance_ends=variant.guidance_until < 1,
            loras=self._adapters.beside(variant.loras),
        )

    def _checked(self, batch: Sequence[Request], batch_size: int) -> Variant:
        """The variant of a batch that this renderer can draw as it is asked to."""
        variant = batch[0].variant
        if len(batch) > batch_size or any(request.variant != variant for request in batch):
            raise ValueError(f"a batch is 1 to {batch_size} requests of one variant, got {len(batch)}")
        if variant.precision != self._model.precision:
            raise BadRequestError(f"the model is loaded in {self._model.precision}, not in {variant.precision}")
        if not self._family.negative_prompt and any(request.negative_prompt for request in batch):
            raise BadRequestError(f"{self._model.pipeline_class} takes no negative prompt; leave it out")
        return variant

    def _on_decode_stream(self, latents: Latents) -> AbstractContextManager[Any]:
        """A stream of the decoder's own, so that its copies do not wait for the next batch's denoising."""
        if self._decode_stream is None or latents.values is None:
            return nullcontext()
        latents.values.record_stream(self._decode_stream)
        return torch.cuda.stream(self._decode_stream)


def _versions(device: torch.device) -> dict[str, str]:
    """Versions of what touches pixels."""
    import diffusers
    import peft
    import transformers

    found = {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "torchvision": _installed("torchvision"),
        "invisible_watermark": _installed("invisible-watermark"),
    }
    if device.type == "cuda":
        cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found |= {"cuda": str(torch.version.cuda), "cudnn": str(cudnn)}
    else:
        found["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    return found


def _installed(distribution: str) -> str:
    """Version of a library that diffusers uses only where it is installed; `none` where it is not."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream for decoding; None where there are no streams."""
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
