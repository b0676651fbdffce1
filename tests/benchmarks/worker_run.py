"""One worker of ours around a model, with gate, PNG and a local store, beside the bare model."""

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import torch

from infra.stores.local import LocalStore
from pipeline.assignment import Assignment, Output
from pipeline.clock import SystemClock
from pipeline.events import AttemptEnded, WorkerEvent
from pipeline.model import Model
from pipeline.performance import Levers
from pipeline.ports import Renderer
from pipeline.record import Node
from pipeline.renderers.diffusion.applying import apply_levers
from pipeline.renderers.diffusion.renderer import DiffusersRenderer
from pipeline.request import Request, Variant
from pipeline.worker import Worker
from tests.benchmarks.true_models import TrueModel


class _GivenTexts:
    """In place of the text cache of a model without text encoders."""

    def __init__(self, model: TrueModel, *, device: str, dtype: torch.dtype) -> None:
        self._model, self._device, self._dtype = model, device, dtype

    def arguments(self, batch: Any) -> dict[str, torch.Tensor]:
        """Embeddings, a row for each request."""
        return self._model.texts(len(batch), device=self._device, dtype=self._dtype)


def worker_pace(
    folder: Path, true: TrueModel, levers: Levers, *, device: str, tiny: bool, steps: int, batch: int, batches: int
) -> tuple[float, float]:
    """Images per second of a worker, and of the same batches denoised and decoded with nothing around them.

    Args:
        folder: for the store.
        true: the architecture.
        levers: pulled in both.
        device: `cuda`, or `cpu` for a trial.
        tiny: a small stand-in for the architecture.
        steps: of each image.
        batch: images at a time.
        batches: how many are measured; half of the bare ones before the worker, half after it.
    """
    model = _model(true, tiny=tiny, steps=steps, batch=batch)
    renderer = _renderer(true, model, levers, device=device, tiny=tiny)
    requests = [_request(model, seed) for seed in range(batch * batches)]
    chunks = [requests[start : start + batch] for start in range(0, len(requests), batch)]
    _bare(renderer, chunks[:1])
    half = max(1, batches // 2)
    before = _bare(renderer, chunks[:half])
    worked = _worked(folder, renderer, model, requests)
    after = _bare(renderer, chunks[:half])
    renderer.close()
    return len(requests) / worked, 2 * half * batch / (before + after)


def _bare(renderer: Renderer, chunks: list[list[Request]]) -> float:
    """Seconds for denoising and decoding alone."""
    started = time.perf_counter()
    for chunk in chunks:
        renderer.decode(renderer.denoise(chunk, batch_size=len(chunk)))
    return time.perf_counter() - started


def _worked(folder: Path, renderer: Renderer, model: Model, requests: list[Request]) -> float:
    """Seconds from giving a worker its work to its last commit."""
    node = Node(
        node_session="bench",
        node_id="bench",
        provider="local",
        node_type="local",
        market="local",
        gpu="",
        gpu_count=1,
        usd_per_hour=Decimal(0),
    )
    worker = Worker(
        name="bench",
        node=node,
        gpu_index=0,
        load=lambda _model: renderer,
        model=model,
        store=LocalStore(str(folder / "store")),
        clock=SystemClock(),
        encode_threads=4,
    )
    worker.start()
    worker.poll(0)
    started = time.perf_counter()
    worker.work(
        Assignment(
            job="bench-0123456789abcdef",
            task="t0000000",
            attempt="a",
            model=model,
            requests=tuple(requests),
            image_ids=tuple(request.image_id for request in requests),
            tags=({},) * len(requests),
            output=Output(),
        )
    )
    events: list[WorkerEvent] = []
    while not any(isinstance(event, AttemptEnded) for event in events):
        events += worker.poll(0.05)
    seconds = time.perf_counter() - started
    (end,) = [event for event in events if isinstance(event, AttemptEnded)]
    if end.cause != "SUCCEEDED":
        raise RuntimeError(f"the worker ended with {end.cause}: {end.message}")
    return seconds


def _renderer(true: TrueModel, model: Model, levers: Levers, *, device: str, tiny: bool) -> DiffusersRenderer:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        pipe = true.build(tiny).to(dtype=dtype)
    pipe.set_progress_bar_config(disable=True)
    pulled = apply_levers(pipe, true.family_of(), levers, device=device, steps=model.steps)
    renderer = DiffusersRenderer(pipe, model, device=device, threads=0, levers=pulled)
    renderer._texts = _GivenTexts(true, device=device, dtype=dtype)  # type: ignore[assignment]  # noqa: SLF001 - no encoders
    return renderer


def _model(true: TrueModel, *, tiny: bool, steps: int, batch: int) -> Model:
    side = 64 if tiny else true.side
    return Model(
        name="random",
        renderer="diffusers",
        pixel_version=1,
        source="",
        revision="random",
        pipeline_class=next(iter(true.family_of().pipelines)),
        precision="bf16",
        unit=8,
        width=side,
        height=side,
        steps=steps,
        guidance_scale=true.guidance,
        scheduler="",
        batch_size=batch,
    )


def _request(model: Model, seed: int) -> Request:
    variant = Variant(
        model=model.revision,
        renderer=model.renderer,
        pixel_version=1,
        precision=model.precision,
        width=model.width,
        height=model.height,
        steps=model.steps,
        guidance_scale=model.guidance_scale,
        scheduler="",
    )
    return Request(prompt="x", negative_prompt="", seed=seed, variant=variant)
