"""g. What reclaims cost: a notice that suffices costs no batch, none at all costs one, and the job little more time."""

import json
from pathlib import Path
from typing import Any

from jobs.jobfile.loading import Options, load
from jobs.rehearsing.rehearse import Reclaims, rehearse
from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section, spread

ROUNDS = 1
NODES = 4
BATCH = 4
SECONDS_PER_BATCH = 2
NOTICE_SECONDS = 10.0
KILL_EVERY_SECONDS = 30.0
BACK_AFTER_SECONDS = 10.0

METHOD = f"""`spotrender rehearse` with the stand-in device: {NODES} nodes of a Ray cluster on this machine,
{SECONDS_PER_BATCH} s for a batch of {BATCH}; every {KILL_EVERY_SECONDS:.0f} s on average a random node is killed
with all of its processes, and comes back {BACK_AFTER_SECONDS:.0f} s later.
Once without any notice, once with one of {NOTICE_SECONDS:.0f} s. All figures are read from the jobs' records and
ledgers. *Overhead* is the time of the job over the ideal of 'capacity lost': the GPU-seconds that the same job took
undisturbed on the same nodes, divided by the GPUs that were really there on average. Starts of replacements and the
time until a death is noticed are in it."""


def run(folder: Path, scale: Scale) -> Section:
    """Rehearse without and with notice."""
    batches = scale.pick(320, 24)
    manifest = folder / "prompts.jsonl"
    rows = [{"prompt": f"a house with {number} windows"} for number in range(BATCH * batches)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values = {
        "manifest": str(manifest),
        "store": str(folder / "store"),
        "model": "synthetic",
        "model_options": {"seconds_per_batch": SECONDS_PER_BATCH},
        "batch_size": BATCH,
    }
    job_file = folder / "job.yaml"
    job_file.write_text(json.dumps(values), encoding="utf-8")
    rounds = scale.rounds_or(ROUNDS)
    without = [in_child(rehearsed, job_file=str(job_file), notice_seconds=0.0, seed=seed) for seed in rounds]
    noticed = [in_child(rehearsed, job_file=str(job_file), notice_seconds=NOTICE_SECONDS, seed=seed) for seed in rounds]
    figures = (
        _figure("batches lost a reclaim, with notice", "batches", [_a_reclaim(one, "batches") for one in noticed], 0),
        _figure("batches lost a reclaim, without", "batches", [_a_reclaim(one, "batches") for one in without], 1),
        _figure("job time without notice over the ideal", "x", [one["overhead"] for one in without], 1.15),
    )
    return Section(
        key="g",
        title="Reclaims",
        method=METHOD,
        figures=figures,
        notes=(_note("without", without), _note("with", noticed)),
    )


def rehearsed(job_file: str, notice_seconds: float, seed: int) -> dict[str, Any]:
    """One rehearsal, and the same job undisturbed; every promise must be kept."""
    reclaims = Reclaims(
        nodes=NODES,
        kill_every_seconds=KILL_EVERY_SECONDS,
        notice_seconds=notice_seconds,
        back_after_seconds=BACK_AFTER_SECONDS,
        seed=seed,
    )
    result = rehearse(load(job_file, Options()), reclaims, compare=True)
    if result.broken or not result.found.reclaims or result.overhead is None:
        raise RuntimeError(f"the rehearsal shows nothing: {result.broken or result.warnings}")
    return {
        "reclaims": result.found.reclaims,
        "batches": result.found.batches_lost,
        "gpu_seconds": result.found.lost_gpu_seconds,
        "startup_seconds": result.found.startup_gpu_seconds / result.found.nodes,
        "seconds": result.found.seconds,
        "overhead": result.overhead,
    }


def _figure(name: str, unit: str, ours: list[float], limit: float) -> Figure:
    return Figure(name=name, unit=unit, ours=tuple(ours), limit=limit, at_least=False)


def _a_reclaim(one: dict[str, Any], what: str) -> float:
    value: float = one[what] / one["reclaims"]
    return value


def _note(name: str, runs: list[dict[str, Any]]) -> str:
    """What else was measured."""
    lost = spread([_a_reclaim(one, "gpu_seconds") for one in runs])
    startup, overhead = spread([one["startup_seconds"] for one in runs]), spread([one["overhead"] for one in runs])
    reclaims = sum(one["reclaims"] for one in runs)
    seconds = sum(one["seconds"] for one in runs)
    return (
        f"{name.capitalize()} notice: {reclaims} reclaims in {seconds:.0f} s; GPU-seconds lost a reclaim, the time"
        f" until it is noticed and the rest of the notice included: {lost}; GPU-seconds to start a node: {startup};"
        f" overhead {overhead}."
    )
