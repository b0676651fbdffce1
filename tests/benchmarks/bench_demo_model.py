"""b. The demo model on this CPU: what all the machinery around the pipeline leaves of a plain loop's pace."""

import time
from itertools import product
from pathlib import Path
from typing import Any

from jobs.wiring import resolve_model
from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.measured_job import run_job, write_manifest
from tests.pipeline.renderers import tiny

MODEL = "shapes"
ROUNDS = 1
BATCH = 8
SHARE = 4
"""One at a time, only every such prompt is rendered."""
METHOD = """The demo model at its own defaults, batches of 8, on all cores of this CPU. *Job*: `submit` on a Ray of its
own with one worker, from the instant at which the first batch takes the device until the driver knows that the last
image is committed. *Plain loop*: `DiffusionPipeline.from_pretrained` in one process with the same threads, nothing
beside it; batches of the same prompts, `image.save` as PNG by Pillow; after a call of one step to warm up, from
the first call to the last file. *One at a time*: the same loop with one prompt a call, over every fourth prompt.
Loading is in none of them. Half of each loop runs before the job and half after it."""


def run(folder: Path, scale: Scale) -> Section:
    """Job and loops in turns."""
    name = str(tiny.sd(folder / "tiny")) if scale.quick else MODEL
    prompts = shape_prompts(scale.pick(400, 16))
    manifest = str(write_manifest(folder / "prompts.jsonl", prompts))
    values = {"manifest": manifest, "model": name, "batch_size": BATCH, "workers": 1, "name": "demo"}
    if scale.quick:
        values["defaults"] = {"steps": 2}
    loop: dict[str, Any] = {"model": name, "steps": 2 if scale.quick else None, "folder": str(folder)}
    ours, batched, single = [], [], []
    notes: tuple[str, ...] = ()
    for number in scale.rounds_or(ROUNDS):
        before = [in_child(plain_loop, prompts=half, size=size, **loop) for half, size in _parts(prompts[::2])]
        job = run_job(folder, values | {"store": str(folder / f"store-{number}")})
        after = [in_child(plain_loop, prompts=half, size=size, **loop) for half, size in _parts(prompts[1::2])]
        ours.append(job.images_per_second)
        batched.append(_pace(before[0], after[0]))
        single.append(_pace(before[1], after[1]))
        notes = tuple(f"Job: {note}." for note in job.notes)
    figures = (
        _figure(len(prompts), ours, batched, "plain loop", 0.9),
        _figure(len(prompts), ours, single, "one at a time", 1.5),
    )
    return Section(key="b", title="Demo model", method=METHOD, figures=figures, notes=notes)


def shape_prompts(count: int) -> list[str]:
    """Different prompts that the demo model follows."""
    sizes, shapes = ("small", "large"), ("circle", "square", "triangle", "star")
    colours = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black")
    pairs = [pair for pair in product(colours, repeat=2) if pair[0] != pair[1]]
    made = [f"a {size} {one} {shape} on {other}" for (one, other), shape, size in product(pairs, shapes, sizes)]
    return made[:count]


def plain_loop(prompts: list[str], size: int, model: str, steps: int | None, folder: str) -> dict[str, Any]:
    """What a user would write, at the model's defaults."""
    import os

    import torch
    from diffusers import DiffusionPipeline
    from diffusers.utils import logging
    from transformers.utils import logging as transformers_logging

    logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    known = resolve_model(model)
    pipe = DiffusionPipeline.from_pretrained(known.source, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"num_inference_steps": steps or known.steps, "guidance_scale": known.guidance_scale}
    options |= {"width": known.width, "height": known.height}
    pipe(prompt=prompts[:size], **options | {"num_inference_steps": 1})
    started = time.perf_counter()
    for start in range(0, len(prompts), size):
        batch = prompts[start : start + size]
        generators = [torch.Generator().manual_seed(0) for _ in batch]
        for number, image in enumerate(pipe(prompt=batch, generator=generators, **options).images, start):
            image.save(Path(folder, f"plain-{number:05d}.png"))
    return {"images": len(prompts), "seconds": time.perf_counter() - started}


def _parts(prompts: list[str]) -> list[tuple[list[str], int]]:
    """What the loops render in one part, with the size of their calls."""
    return [(prompts, BATCH), (prompts[::SHARE], 1)]


def _pace(*parts: dict[str, float]) -> float:
    return sum(part["images"] for part in parts) / sum(part["seconds"] for part in parts)


def _figure(images: int, ours: list[float], theirs: list[float], loop: str, limit: float) -> Figure:
    return Figure(
        name=f"job of {images} images",
        unit="images/s",
        ours=tuple(ours),
        baseline=tuple(theirs),
        baseline_name=loop,
        limit=limit,
        at_least=True,
    )
