"""a. While a batch is on the device, the one before is decoded, checked, encoded and put: the device never waits."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.measured_job import run_job, write_manifest
from tests.benchmarks.ray_data_loop import ray_data_loop
from tests.benchmarks.synthetic_requests import BATCH, batches, job_values, prompts, stand_in

ROUNDS = 3
METHOD = """A stand-in device that takes 200 ms for a batch of 8; pictures of 1024x1024 as PNG in a local folder.
*Job*: `submit` on a Ray of its own with one worker, from the instant at which the first batch takes the device until
the driver knows that the last image is committed (synced to disk and named by a record). *Device alone*: the same
batches in a loop that throws them away. *Ray Data*: `map_batches` over an actor with the same device and pictures, then
`map_batches` with the same encoder and one file for each image, not synced; from the first batch's taking the device,
with Ray and the actor up already, until the last file is written."""


def run(folder: Path, scale: Scale) -> Section:
    """Job, device alone and Ray Data in turns."""
    side, seconds = scale.pick(1024, 64), scale.pick(200, 20) / 1000
    images = BATCH * scale.pick(64, 6)
    manifest = str(write_manifest(folder / "prompts.jsonl", prompts(images)))
    values = job_values(side=side, seconds_per_batch=seconds) | {"manifest": manifest, "name": "overlap"}
    sizes: dict[str, Any] = {"side": side, "seconds_per_batch": seconds}
    ours, alone, theirs, notes = [], [], [], tuple[str, ...]()
    for number in scale.rounds_or(ROUNDS):
        job = run_job(folder, values | {"store": str(folder / f"store-{number}")})
        ours.append(job.images_per_second)
        notes = tuple(f"Job: {note}." for note in job.notes)
        alone.append(in_child(device_alone, images=min(images, 24 * BATCH), **sizes)["images_per_second"])
        files = str(folder / f"files-{number}")
        theirs.append(in_child(ray_data_loop, images=images, folder=files, **sizes)["images_per_second"])
    over_device = Figure(
        name=f"job of {images} images",
        unit="images/s",
        ours=tuple(ours),
        baseline=tuple(alone),
        baseline_name="device alone",
        limit=0.95,
        at_least=True,
    )
    over_ray_data = replace(over_device, baseline=tuple(theirs), baseline_name="Ray Data", limit=1.0)
    return Section(key="a", title="Overlap", method=METHOD, figures=(over_device, over_ray_data), notes=notes)


def device_alone(images: int, side: int, seconds_per_batch: float) -> dict[str, Any]:
    """The device's own pace."""
    renderer = stand_in(side=side, seconds_per_batch=seconds_per_batch)
    work = list(batches(prompts(images), side=side))
    started = time.perf_counter()
    for batch in work:
        renderer.denoise(batch, batch_size=BATCH)
    return {"images_per_second": images / (time.perf_counter() - started)}
