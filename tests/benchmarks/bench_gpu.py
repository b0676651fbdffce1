"""j. Levers on a GPU: eager, safe and fast over what others published, and a worker over bare denoising."""

import gc
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pipeline.performance import PROFILES, Levers
from pipeline.renderers.diffusion.applying import apply_levers
from pipeline.renderers.diffusion.decoding import decode_batch
from pipeline.renderers.diffusion.drawing import draw_latents
from pipeline.request import Request, Variant
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.true_models import TRUE_MODELS, TrueModel
from tests.benchmarks.worker_run import worker_pace

MLPERF_SDXL_H200 = 2.40
"""Images/s of one H200: MLPerf Inference v5.1, SDXL offline, 1024x1024, Euler, 20 steps, CFG, TensorRT with FP8."""

RUNS = (("SD 1.5", 50, 8), ("SDXL", 30, 4), ("SDXL", 20, 4), ("FLUX.1-dev", 28, 1))
"""Model, steps, batch."""

METHOD = """Models of the true architecture with random weights in bf16, embeddings in place of text encoders. A batch
is denoised and decoded to bytes on the host; the first one, with its compilation, is not counted. *Eager*: as diffusers
loads it. *Safe*: channels-last and compiled. *Fast*: FP8 by rows and compiled. *Worker*: the same model behind a worker
of ours, with the output gate, PNG and a local store, over the bare denoising and decoding of the same batches."""


def run(folder: Path, scale: Scale) -> Section:
    """All models under all profiles, on the GPU of this machine; quick: tiny ones, also without a GPU."""
    if not scale.quick and not torch.cuda.is_available():
        raise RuntimeError("torch sees no GPU here; run this on a machine that has one")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pace: dict[tuple[str, int, str], float] = {}
    notes: list[str] = []
    for name, steps, batch in RUNS:
        for profile, levers in _profiles(device, quick=scale.quick).items():
            bench = _Bench(TRUE_MODELS[name], levers, device=device, steps=scale.pick(steps, 2), tiny=scale.quick)
            pace[name, steps, profile] = found = bench.images_per_second(batch, batches=scale.pick(6, 1))
            notes.append(f"{name}, {steps} steps, batch {batch}, {profile}: {found:.3g} images/s, {bench.memory()}.")
            del bench
            _free()
    notes += _batch_curve(device, scale)
    ours, bare = worker_pace(
        folder,
        TRUE_MODELS["SDXL"],
        _profiles(device, quick=scale.quick)["safe"],
        device=device,
        tiny=scale.quick,
        steps=scale.pick(20, 2),
        batch=4,
        batches=scale.pick(12, 2),
    )
    mlperf = (MLPERF_SDXL_H200,)
    return Section(
        key="j",
        title="GPU",
        method=METHOD,
        figures=(
            _figure("SDXL 20 steps, safe", pace["SDXL", 20, "safe"], mlperf, "MLPerf H200", 0.6),
            _figure("SDXL 20 steps, fast", pace["SDXL", 20, "fast"], mlperf, "MLPerf H200", 0.85),
            _figure("SDXL worker, end to end", ours, (bare,), "bare denoising", 0.97),
        ),
        notes=tuple(notes),
    )


class _Bench:
    """One model under one profile, on the device."""

    def __init__(self, model: TrueModel, levers: Levers, *, device: str, steps: int, tiny: bool) -> None:
        self._model, self._device = model, device
        self._dtype = torch.bfloat16 if device == "cuda" else torch.float32
        with torch.device(device):
            self._pipe = model.build(tiny).to(dtype=self._dtype)
        self._pipe.set_progress_bar_config(disable=True)
        self._family = model.family_of()
        apply_levers(self._pipe, self._family, levers, device=device, steps=steps)
        side = 64 if tiny else model.side
        self._variant = Variant(
            model="random",
            renderer="diffusers",
            pixel_version=1,
            precision="bf16",
            width=side,
            height=side,
            steps=steps,
            guidance_scale=model.guidance,
            scheduler="",
        )

    def images_per_second(self, batch: int, *, batches: int) -> float:
        """The pace after a first batch that is not counted."""
        texts = self._model.texts(batch, device=self._device, dtype=self._dtype)
        requests = [Request(prompt="x", negative_prompt="", seed=seed, variant=self._variant) for seed in range(batch)]
        self._once(texts, requests)
        _wait(self._device)
        started = time.perf_counter()
        for _ in range(batches):
            self._once(texts, requests)
        _wait(self._device)
        return batch * batches / (time.perf_counter() - started)

    def memory(self) -> str:
        """The most that the device held."""
        return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if self._device == "cuda" else "no GPU memory"

    def _once(self, texts: dict[str, torch.Tensor], requests: Sequence[Request]) -> None:
        with torch.no_grad():
            latents = draw_latents(
                self._pipe, self._family, self._pipe.scheduler, texts, requests, interrupted=lambda: False
            )
            decode_batch(self._pipe, self._family, latents, self._variant, count=len(requests), text_dtype=self._dtype)


def _profiles(device: str, *, quick: bool) -> dict[str, Levers]:
    compiled = "off" if quick else "on"
    quantization = "fp8" if device == "cuda" else "none"
    return {
        "eager": PROFILES["plain"],
        "safe": replace(PROFILES["safe"], compile=compiled),
        "fast": replace(PROFILES["safe"], compile=compiled, quantization=quantization),
    }


def _batch_curve(device: str, scale: Scale) -> list[str]:
    """SD 1.5 by batch size: where a larger batch stops paying."""
    bench = _Bench(TRUE_MODELS["SD 1.5"], PROFILES["plain"], device=device, steps=scale.pick(20, 2), tiny=scale.quick)
    sizes = (1, 2) if scale.quick else (1, 2, 4, 8, 16, 32)
    curve = ", ".join(f"{size}: {bench.images_per_second(size, batches=scale.pick(3, 1)):.3g}" for size in sizes)
    del bench
    _free()
    return [f"SD 1.5, 20 steps, eager, images/s by batch size: {curve}."]


def _figure(name: str, ours: float, baseline: tuple[float, ...], label: str, limit: float) -> Figure:
    return Figure(
        name=name, unit="images/s", ours=(ours,), baseline=baseline, baseline_name=label, limit=limit, at_least=True
    )


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _free() -> None:
    gc.collect()
    torch._dynamo.reset()  # noqa: SLF001 - the public name, torch.compiler.reset, keeps the compiled graphs
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
