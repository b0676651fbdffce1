"""i. What the ledger costs a job: the control plane's local run with and without its ledger files."""

import os
from pathlib import Path

from tests.benchmarks.figures import Figure, Scale, Section, spread
from tests.benchmarks.measured_job import JobRun, run_job, write_manifest
from tests.benchmarks.synthetic_requests import job_values, prompts

ROUNDS = 6
SIDE = 64
METHOD = """The local job of benchmark c (64x64 from the stand-in renderer with no waiting, batches of 8, a record put
for each batch), from the instant at which the first batch takes the device until the driver knows that the last image
is committed. *Without*: the same driver with all that writes ledger files taken out: no bucket is sealed, no node
session is written as Parquet. What is written after the last image stands in the notes: it is time of nodes that are
already let go."""


def run(folder: Path, scale: Scale) -> Section:
    """With and without, in turns; every other round begins without, so that neither has always the warmer machine."""
    images = scale.pick(20_000, 160)
    manifest = str(write_manifest(folder / "prompts.jsonl", prompts(images)))
    values = job_values(side=SIDE) | {"manifest": manifest, "name": "ledger"}
    ours, bare = list[JobRun](), list[JobRun]()
    for number in scale.rounds_or(ROUNDS):
        for ledger in (True, False) if number % 2 == 0 else (False, True):
            store = str(folder / f"{'with' if ledger else 'without'}-{number}")
            os.sync()  # what the run before left to the disk is none of this one's
            done = run_job(folder, values | {"store": store}, ledger=ledger)
            (ours if ledger else bare).append(done)
    figure = Figure(
        name=f"{images:,} images to a local folder, with the ledger",
        unit="images/s",
        ours=tuple(one.images_per_second for one in ours),
        baseline=tuple(one.images_per_second for one in bare),
        baseline_name="without",
        limit=0.97,
        at_least=True,
    )
    busy, idle = ([one.driver_microseconds for one in runs] for runs in (ours, bare))
    late, early = ([one.closing_seconds for one in runs] for runs in (ours, bare))
    notes = (
        f"CPU microseconds an image in the driver: {spread(busy)} with, {spread(idle)} without.",
        f"Seconds from the last image to the end of driver and Ray: {spread(late)} with, {spread(early)} without.",
    )
    return Section(key="i", title="The ledger's cost", method=METHOD, figures=(figure,), notes=notes)
