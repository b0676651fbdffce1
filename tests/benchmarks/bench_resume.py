"""e. Resuming a job of a million images reads the sealed buckets and the few records outside them, not all history."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from jobs.jobfile.loading import Options, load
from jobs.submit import submit
from pipeline.status import Status
from tests.benchmarks.bench_validate import write_rows
from tests.benchmarks.child import in_child, peak_rss_mib
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.half_done_job import LAST_RECORDS, leave_half_done

ROUNDS = 2
METHOD = f"""A store as a driver leaves it that is killed half way through a million images: the frozen job, sealed
ledger buckets for half of the images, all of their records (clean-up has not run), and {LAST_RECORDS:,} records more in
buckets that are still open; without the images, which a resume does not look at. *Resume*: `submit` of the same
manifest in a fresh process, from the call (so with reading and checking the manifest again, and starting Ray and a
worker) until the first task is handed to the worker; then it is interrupted, as by Ctrl-C. Memory is the driver's, at
that moment."""


def run(folder: Path, scale: Scale) -> Section:
    """Leave a job half done, then resume it a few times."""
    rows = scale.pick(1_000_000, 4_000)
    job_file = folder / "job.yaml"
    manifest = write_rows(folder / "prompts.jsonl", rows)
    values = {"manifest": str(manifest), "model": "synthetic", "store": str(folder / "store"), "name": "million"}
    job_file.write_text(json.dumps(values | {"workers": 1}), encoding="utf-8")
    left = in_child(leave_half_done, job_file=str(job_file), last_records=scale.pick(LAST_RECORDS, 10))
    taken = [in_child(resume, job_file=str(job_file)) for _ in scale.rounds_or(ROUNDS)]
    name = f"resume of {rows:,} images to the first task"
    seconds = Figure(name=name, unit="s", ours=tuple(one["seconds"] for one in taken), limit=60, at_least=False)
    memory = Figure(
        name=f"{name}, peak memory",
        unit="MiB",
        ours=tuple(one["rss_mib"] for one in taken),
        limit=1024,
        at_least=False,
    )
    last = taken[-1]
    store = f"{left['sealed']:,} sealed buckets, {left['records']:,} records, {left['committed']:,} images committed"
    notes = (
        f"In the store: {store}; the driver of the last round knew of {last['known']:,}.",
        f"Last round: manifest read and checked after {last['frozen_seconds']:.1f} s; the rest is the checkpoint, Ray.",
    )
    return Section(key="e", title="Resume", method=METHOD, figures=(seconds, memory), notes=notes)


class _Interruption:
    """Presses Ctrl-C once the first task is handed out, and remembers when that and what came before happened."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.at: dict[str, float] = {}
        self.rss_mib = 0.0
        self.known = 0

    def hear(self, status: Status) -> None:
        """Called by the driver: on taking the fence, and after every handing out."""
        self.at.setdefault(status.phase, time.perf_counter() - self._started)
        if status.phase == "rendering" and not self.rss_mib:
            self.rss_mib = peak_rss_mib()
            self.known = status.rendered - status.rendered_now
            os.kill(os.getpid(), signal.SIGINT)


def resume(job_file: str) -> dict[str, Any]:
    """The resuming driver's process."""
    interruption = _Interruption()
    submit(load(job_file, Options()), on_status=interruption.hear)
    at = interruption.at
    return {
        "seconds": at["rendering"],
        "frozen_seconds": at["reading what is there"],
        "rss_mib": interruption.rss_mib,
        "known": interruption.known,
    }
