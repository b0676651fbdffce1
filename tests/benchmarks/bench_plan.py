"""k. A job of a million rows is priced on every type of node in hardly more time than it is read, in bounded memory."""

import time
from pathlib import Path
from typing import Any

from jobs.jobfile.loading import Options, load
from jobs.planning.planning import plan_job
from jobs.submit import validate
from tests.benchmarks.bench_validate import write_rows
from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.made_history import make_history

ROUNDS = 2
METHOD = """A JSONL manifest of a million rows for the demo model, and a local store whose ledger holds ten jobs of
100,000 images each. *Plan*: what `spotrender plan --compare` does before it prints: the manifest read and resolved, the
index asked for what is there, the ledger summed, every type of node and every other way priced. *Validate*: the same
manifest read, checked and resolved. In turns, each in a fresh process; its peak resident memory is read from the
operating system, Python and its libraries included."""


def run(folder: Path, scale: Scale) -> Section:
    """Plan and validate in turns."""
    rows, images = scale.pick(1_000_000, 2_000), scale.pick(1_000_000, 2_000)
    manifest, store = str(write_rows(folder / "prompts.jsonl", rows)), str(folder / "store")
    make_history(folder / "store", images, images_of_a_job=images // 10)
    ours, bare = [], []
    for _ in scale.rounds_or(ROUNDS):
        ours.append(in_child(plan_rows, manifest=manifest, store=store, rows=rows))
        bare.append(in_child(check_rows, manifest=manifest, store=store))
    name = f"plan of {rows:,} rows"
    seconds, plain = (tuple(float(one["seconds"]) for one in some) for some in (ours, bare))
    ratio = Figure(
        name=name, unit="s", ours=seconds, baseline=plain, baseline_name="validate", limit=1.5, at_least=False
    )
    beyond = Figure(
        name=f"{name}, beyond validate",
        unit="s",
        ours=tuple(mine - theirs for mine, theirs in zip(seconds, plain, strict=True)),
        limit=20,
        at_least=False,
    )
    memory = Figure(
        name=f"{name}, peak memory",
        unit="MiB",
        ours=tuple(float(one["peak_rss_mib"]) for one in ours),
        limit=1024,
        at_least=False,
    )
    return Section(key="k", title="Plan", method=METHOD, figures=(ratio, beyond, memory))


def plan_rows(manifest: str, store: str, rows: int) -> dict[str, Any]:
    """Ours."""
    job_file = load(manifest, Options(model="shapes", store=store, name="million"))
    started = time.perf_counter()
    found = plan_job(job_file, compare=True)
    seconds = time.perf_counter() - started
    if found.render != rows or not found.rows:
        raise RuntimeError(f"{found.render} images to render of {rows}, {len(found.rows)} types priced")
    return {"seconds": seconds}


def check_rows(manifest: str, store: str) -> dict[str, Any]:
    """The same manifest, only checked."""
    job_file = load(manifest, Options(model="shapes", store=store, name="million"))
    started = time.perf_counter()
    validate(job_file)
    return {"seconds": time.perf_counter() - started}
