"""One real job in a process of its own: `submit` on a Ray of its own, and what it took.

The pace counts from the instant at which the first batch takes the device to the instant at which the driver knows
that the last image is committed. What comes before (reading the manifest, starting Ray and worker, loading the model)
is `startup_seconds`, what comes after (the last ledger files, ending Ray) is `closing_seconds`.
"""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

import pipeline.driving.run_job
from jobs.jobfile.loading import Options, load
from jobs.submit import submit
from jobs.wiring import open_store
from pipeline.job import JobState, job_from_json
from pipeline.layout import job_key
from pipeline.ledger.accounts import Accounts
from pipeline.ledger.bookkeeping import Bookkeeping
from pipeline.ledger.checkpoint import ledger_tables
from pipeline.ledger.schema import NODES
from pipeline.status import Status
from tests.benchmarks.child import in_child
from tests.benchmarks.processes import CpuLook


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """What one job took."""

    images: int
    seconds: float
    """From the first batch on the device to the last image known to be committed."""
    startup_seconds: float
    closing_seconds: float
    driver_microseconds: float
    """CPU time of the driver's process for each image, in the part that `seconds` covers."""
    worker_microseconds: float
    """The same for the worker's process."""
    ray_microseconds: float
    """The same for all other processes of Ray together."""

    @property
    def images_per_second(self) -> float:
        """The pace."""
        return self.images / self.seconds

    @property
    def notes(self) -> tuple[str, ...]:
        """What else this job took."""
        startup, closing = f"{self.startup_seconds:.1f} s", f"{self.closing_seconds:.1f} s"
        driver, worker, ray = self.driver_microseconds, self.worker_microseconds, self.ray_microseconds
        return (
            f"start-up (manifest, Ray, worker) {startup}, closing (last ledger files, end of Ray) {closing}",
            f"CPU microseconds an image: driver {driver:,.0f}, worker {worker:,.0f}, Ray's own processes {ray:,.0f}",
        )


def run_job(
    folder: Path, job_file: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, ledger: bool = True
) -> JobRun:
    """Submit a job and wait for its end.

    Args:
        folder: where its job file is written.
        job_file: its keys; paths absolute.
        environ: for the driver's process and its Ray.
        ledger: False for a driver that writes no ledger files, only records.
    """
    path = folder / "job.yaml"
    path.write_text(json.dumps(job_file), encoding="utf-8")
    values = in_child(drive, environ=environ, job_file=str(path), ledger=ledger)
    values.pop("peak_rss_mib")
    return JobRun(**values)


def write_manifest(path: Path, prompts: list[str]) -> Path:
    """A manifest of prompts."""
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts), encoding="utf-8")
    return path


class _Watch:
    """Notes the first and the last news of images."""

    def __init__(self) -> None:
        self._first: tuple[int, CpuLook] | None = None
        self._last: tuple[int, CpuLook] | None = None
        self.last_ns = 0

    def hear(self, status: Status) -> None:
        """Called by the driver, often."""
        if status.rendered_now and self._first is None:
            self._first = (status.rendered_now, CpuLook.now())
        if status.rendered_now == status.total and self._last is None:
            self.last_ns = time.time_ns()
            self._last = (status.rendered_now, CpuLook.now())

    def microseconds(self) -> dict[str, float]:
        """CPU time of each part for each image between the two."""
        if self._first is None or self._last is None:
            raise RuntimeError("the job ended before its last image was heard of")
        images = max(1, self._last[0] - self._first[0])
        used = self._last[1].since(self._first[1])
        return {
            "driver_microseconds": 1e6 * used.driver / images,
            "worker_microseconds": 1e6 * used.worker / images,
            "ray_microseconds": 1e6 * used.ray / images,
        }


class _NoLedger(Bookkeeping):
    """Knows what is committed, and writes nothing of it."""

    def start_sealing(self, bucket: int) -> None:
        """Not at all."""

    def write_open(self, missing_of_bucket: Callable[[int], int]) -> None:
        """Not at all."""

    def write_nodes(self, accounts: Accounts) -> pa.Table:
        """Not at all."""
        return NODES.empty_table()


def drive(job_file: str, *, ledger: bool = True) -> dict[str, Any]:
    """The driver's process."""
    if not ledger:
        setattr(pipeline.driving.run_job, "Bookkeeping", _NoLedger)  # noqa: B010 - a driver of this process alone
    watch, begun_ns = _Watch(), time.time_ns()
    result = submit(load(job_file, Options()), on_status=watch.hear)
    ended_ns = time.time_ns()
    if result.state is not JobState.SUCCEEDED:
        raise RuntimeError(f"{result.job} ended as {result.state}: {result.message}")
    first_ns = _first_taken_ns(result.store, result.job)
    return {
        "images": result.total,
        "seconds": (watch.last_ns - first_ns) / 1e9,
        "startup_seconds": (first_ns - begun_ns) / 1e9,
        "closing_seconds": (ended_ns - watch.last_ns) / 1e9,
        **watch.microseconds(),
    }


def _first_taken_ns(uri: str, job_id: str) -> float:
    """When the first batch took the device, by the job's ledger."""
    store = open_store(uri)
    job = job_from_json(store.get(job_key(job_id)))
    with ThreadPoolExecutor(8) as executor:
        instants: list[datetime] = [
            instant
            for _, table, _ in ledger_tables(store, job, executor, ["started_at"])
            for instant in table["started_at"].to_pylist()
        ]
    return min(instants).timestamp() * 1e9
