"""i. What the ledger costs a job: the control plane's local run with and without its ledger files."""

from pathlib import Path

from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.measured_job import JobRun, run_job, write_manifest
from tests.benchmarks.synthetic_requests import job_values, prompts

ROUNDS = 4
SIDE = 64
METHOD = """The local job of benchmark c (64x64 from the stand-in renderer with no waiting, batches of 8, a record put
for each batch), from the instant at which the first batch takes the device until the driver knows that the last image
is committed. *Without*: the same driver with all that writes ledger files taken out: no bucket is sealed, no node
session is written as Parquet."""


def run(folder: Path, scale: Scale) -> Section:
    """With and without, in turns; every other round begins without, so that neither has always the warmer machine."""
    images = scale.pick(20_000, 160)
    manifest = str(write_manifest(folder / "prompts.jsonl", prompts(images)))
    values = job_values(side=SIDE) | {"manifest": manifest, "name": "ledger"}
    ours, bare = list[JobRun](), list[JobRun]()
    for number in scale.rounds_or(ROUNDS):
        for ledger in (True, False) if number % 2 == 0 else (False, True):
            store = str(folder / f"{'with' if ledger else 'without'}-{number}")
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
    busy, idle = ours[-1].driver_microseconds, bare[-1].driver_microseconds
    notes = (f"CPU microseconds an image in the driver: {busy:,.0f} with, {idle:,.0f} without.",)
    return Section(key="i", title="The ledger's cost", method=METHOD, figures=(figure,), notes=notes)
