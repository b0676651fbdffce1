"""j. Levers on a GPU: eager, safe and fast, each beside its ceiling; a batch curve; a worker over bare denoising."""

import gc
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch

from infra.compute.gpu_gauge import open_gauge
from jobs.planning.catalogue import read_catalogue
from pipeline.estimates.throughput import REACHED
from pipeline.estimates.work import work_of
from pipeline.performance import PROFILES, Levers
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.random_renderer import random_model, random_renderer, random_request
from tests.benchmarks.true_models import TRUE_MODELS
from tests.benchmarks.worker_run import bare_seconds, worker_pace

MLPERF_SDXL_H200 = 2.40
"""Images/s of one H200: MLPerf Inference v5.1, SDXL offline, 1024x1024, Euler, 20 steps, CFG, TensorRT with FP8."""

CEILING: Final = REACHED["tensorrt fp8"]
"""Share of the dense half-precision peak that the best engines reach of these models."""

PATIENCE_SECONDS: Final = 540.0
"""What is not needed for a target is left out from then on, so that all of it ends within ten minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """What one model is measured with."""

    catalogue: str
    """Its name there, for the arithmetic of an image."""
    steps: tuple[int, ...]
    batch: int


RUNS: Final[Mapping[str, Runs]] = MappingProxyType(
    {
        "SDXL": Runs(catalogue="sdxl", steps=(20, 30), batch=4),
        "SD 1.5": Runs(catalogue="sd15", steps=(50,), batch=8),
        "FLUX.1-dev": Runs(catalogue="flux-dev", steps=(28,), batch=1),
    }
)
"""The one with the targets first."""

METHOD = """Models of the true architecture with random weights in bf16, embeddings in place of text encoders. A batch
is denoised and decoded to bytes on the host, one after the other; the first one, with its compilation, is not counted.
*Eager*: as diffusers loads it. *Safe*: channels-last and compiled. *Fast*: FP8 by rows and compiled. *Ceiling*: the
arithmetic of an image, counted, at 59 % of the card's dense half-precision peak, which the best engines reach.
*Worker*: the same model behind a worker of ours, with the output gate, PNG and a local store, over the bare denoising
and decoding of the same batches."""


def run(folder: Path, scale: Scale) -> Section:
    """All models under all profiles, on the GPU of this machine; quick: tiny ones, also without a GPU."""
    if not scale.quick and not torch.cuda.is_available():
        raise RuntimeError("torch sees no GPU here; run this on a machine that has one")
    bench = _Bench(folder, scale, device="cuda" if torch.cuda.is_available() else "cpu")
    for name in RUNS:
        for profile, levers in bench.profiles().items():
            bench.measure(name, profile, levers)
    bench.batch_curve()
    mlperf = (MLPERF_SDXL_H200,)
    ours, bare = bench.worker
    return Section(
        key="j",
        title="GPU",
        method=METHOD,
        figures=(
            _figure("SDXL 20 steps, safe", bench.pace["SDXL", 20, "safe"], mlperf, "MLPerf H200", 0.6),
            _figure("SDXL 20 steps, fast", bench.pace["SDXL", 20, "fast"], mlperf, "MLPerf H200", 0.85),
            _figure("SDXL worker, end to end", ours, (bare,), "bare denoising", 0.97),
        ),
        notes=tuple(bench.notes),
    )


class _Bench:
    """One run of all of it.

    Args:
        folder: for stores.
        scale: sizes.
        device: `cuda`, or `cpu` for a trial.
    """

    def __init__(self, folder: Path, scale: Scale, *, device: str) -> None:
        self._folder, self._scale, self._device = folder, scale, device
        self._began = time.monotonic()
        self._gauge = open_gauge(os.environ)
        self.pace: dict[tuple[str, int, str], float] = {}
        self.worker = (0.0, 0.0)
        """Images per second of a worker, and bare."""
        self.notes: list[str] = []

    def profiles(self) -> dict[str, Levers]:
        """The levers of each profile."""
        compiled = "off" if self._scale.quick else "on"
        quantization = "fp8" if self._device == "cuda" else "none"
        return {
            "safe": replace(PROFILES["safe"], compile=compiled),
            "fast": replace(PROFILES["safe"], compile=compiled, quantization=quantization),
            "eager": PROFILES["plain"],
        }

    def measure(self, name: str, profile: str, levers: Levers) -> None:
        """One model under one profile, with each of its numbers of steps; SDXL under `safe` behind a worker, too."""
        if profile == "eager" and self._late():
            self.notes.append(f"{name}, {profile}: left out, as time was up.")
            return
        true, runs, tiny = TRUE_MODELS[name], RUNS[name], self._scale.quick
        model = random_model(true, device=self._device, tiny=tiny, batch=runs.batch)
        renderer = random_renderer(true, model, levers, device=self._device, tiny=tiny)
        for steps in runs.steps:
            real = self._scale.pick(steps, 2)
            batch = [random_request(model, seed, steps=real) for seed in range(runs.batch)]
            first = bare_seconds(renderer, [batch])
            batches = self._scale.pick(3, 1)
            started_ns = time.time_ns()
            seconds = bare_seconds(renderer, [batch] * batches)
            self.pace[name, steps, profile] = pace = runs.batch * batches / seconds
            told = f"{name}, {steps} steps, batch {runs.batch}, {profile}: {pace:.3g} images/s"
            beside = [self._ceiling(runs.catalogue, steps, pace), self._busy(started_ns), self._memory()]
            self.notes.append(", ".join([told, *filter(None, beside), f"first batch {first:.0f} s"]) + ".")
        if (name, profile) == ("SDXL", "safe"):
            batches = self._scale.pick(8, 2)
            steps = self._scale.pick(20, 2)
            self.worker = worker_pace(self._folder, renderer, model, steps=steps, batch=runs.batch, batches=batches)
        renderer.close()
        del renderer
        _free()

    def batch_curve(self) -> None:
        """SD 1.5 by batch size: where a larger batch stops paying."""
        true, tiny = TRUE_MODELS["SD 1.5"], self._scale.quick
        model = random_model(true, device=self._device, tiny=tiny, batch=1)
        renderer = random_renderer(true, model, PROFILES["plain"], device=self._device, tiny=tiny)
        steps, curve = self._scale.pick(20, 2), []
        for size in (1, 2) if tiny else (1, 2, 4, 8, 16, 32):
            if self._late():
                curve.append("the rest left out, as time was up")
                break
            batch = [random_request(model, seed, steps=steps) for seed in range(size)]
            bare_seconds(renderer, [batch])
            curve.append(f"{size}: {2 * size / bare_seconds(renderer, [batch] * 2):.3g}")
        renderer.close()
        self.notes.append(f"SD 1.5, {steps} steps, eager, images/s by batch size: {', '.join(curve)}.")

    def _late(self) -> bool:
        return time.monotonic() - self._began > PATIENCE_SECONDS

    def _ceiling(self, name: str, steps: int, pace: float) -> str:
        """How near to what the card could do at best; empty for a card that the catalogue has not."""
        catalogue = read_catalogue()
        card = catalogue.gpu(torch.cuda.get_device_name()) if self._device == "cuda" else None
        if card is None or self._scale.quick:
            return ""
        work = work_of(catalogue, catalogue.models[name], steps=steps)
        most = card.fp16_tflops * CEILING / work.teraflops
        return f"{pace / most:.2f} of the ceiling, {most:.3g} images/s"

    def _busy(self, started_ns: int) -> str:
        """Share of the time that the GPU was busy; empty where nothing tells."""
        use = self._gauge.between(started_ns, time.time_ns()) if self._gauge is not None else None
        return "" if use is None or use.busy is None else f"busy {use.busy:.0%} of the time"

    def _memory(self) -> str:
        """The most that the device held since the last model was let go."""
        return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if self._device == "cuda" else ""


def _figure(name: str, ours: float, baseline: tuple[float, ...], label: str, limit: float) -> Figure:
    return Figure(
        name=name, unit="images/s", ours=(ours,), baseline=baseline, baseline_name=label, limit=limit, at_least=True
    )


def _free() -> None:
    gc.collect()
    torch._dynamo.reset()  # noqa: SLF001 - the public name, torch.compiler.reset, keeps the compiled graphs
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
