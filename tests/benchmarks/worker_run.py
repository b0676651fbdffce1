"""One worker of ours around a model, with gate, PNG and a local store, beside the bare model."""

import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from infra.stores.local import LocalStore
from pipeline.assignment import Assignment, Output
from pipeline.clock import SystemClock
from pipeline.events import AttemptEnded, WorkerEvent
from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.record import Node
from pipeline.request import Request
from pipeline.working.worker import Worker
from tests.benchmarks.random_renderer import random_request


def worker_pace(
    folder: Path, renderer: Renderer, model: Model, *, steps: int, batch: int, batches: int
) -> tuple[float, float]:
    """Images per second of a worker, and of the same batches denoised and decoded with nothing around them.

    Args:
        folder: for the store.
        renderer: of both; warm. Nobody closes it.
        model: that it has loaded.
        steps: of each image.
        batch: images at a time.
        batches: how many are measured; half of the bare ones before the worker, half after it.
    """
    requests = [random_request(model, seed, steps=steps) for seed in range(batch * batches)]
    chunks = [requests[start : start + batch] for start in range(0, len(requests), batch)]
    half = max(1, batches // 2)
    before = bare_seconds(renderer, chunks[:half])
    worked = _worked(folder, renderer, model, requests)
    after = bare_seconds(renderer, chunks[:half])
    return len(requests) / worked, 2 * half * batch / (before + after)


def bare_seconds(renderer: Renderer, chunks: Sequence[Sequence[Request]]) -> float:
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
