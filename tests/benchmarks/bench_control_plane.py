"""c. What everything around the model costs: tiny pictures from a device that takes no time, over plain loops."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.benchmarks.child import in_child
from tests.benchmarks.figures import Figure, Scale, Section
from tests.benchmarks.measured_job import run_job, write_manifest
from tests.benchmarks.synthetic_requests import BATCH, batches, job_values, made_file, prompts, stand_in
from tests.infra.servers import S3Server, rclone_server

ROUNDS = 3
SIDE = 64
UPLOAD_THREADS = 16
METHOD = """Pictures of 64x64 from the stand-in renderer with no waiting, batches of 8. *Job*: `submit` on a Ray of its
own, driver and one worker in processes of their own, from the instant at which the first batch takes the device until
the driver knows that the last image is committed. *Plain loop*: one process that makes, encodes and writes the same
files into the same folders, and syncs the files and folders of each batch, as the job does. *boto3 loop*: 16 threads
that put the same bytes, made before the clock starts, into the same `rclone serve s3`; the job makes, encodes and
hashes them in that time, and puts a record for each batch too."""


def run(folder: Path, scale: Scale) -> Section:
    """A local store, then S3; in both, job and loop in turns."""
    local, local_notes = _local(folder, scale)
    remote, remote_notes = _remote(folder, scale)
    notes = [f"Local: {note}." for note in local_notes] + [f"S3: {note}." for note in remote_notes]
    return Section(key="c", title="Control plane", method=METHOD, figures=(local, remote), notes=tuple(notes))


def _local(folder: Path, scale: Scale) -> tuple[Figure, list[str]]:
    images = scale.pick(20_000, 160)
    manifest = str(write_manifest(folder / "local.jsonl", prompts(images)))
    values = job_values(side=SIDE) | {"manifest": manifest, "name": "local"}
    ours, theirs, notes = [], [], []
    for number in scale.rounds_or(ROUNDS):
        job = run_job(folder, values | {"store": str(folder / f"store-{number}")})
        ours.append(job.images_per_second)
        notes = list(job.notes)
        loop = in_child(write_files, images=images, folder=str(folder / f"files-{number}"))
        theirs.append(loop["images_per_second"])
        notes.append(f"CPU microseconds an image: plain loop {loop['microseconds']:,.0f}")
    name = f"{images:,} images to a local folder"
    return _figure(name, ours, theirs, "plain loop", 0.5), notes


def _remote(folder: Path, scale: Scale) -> tuple[Figure, list[str]]:
    images = scale.pick(10_000, 160)
    manifest = str(write_manifest(folder / "remote.jsonl", prompts(images)))
    values = job_values(side=SIDE) | {"manifest": manifest, "name": "remote"}
    ours, theirs, notes = [], [], []
    for number in scale.rounds_or(ROUNDS):
        with rclone_server(folder / f"job-{number}") as server:
            job = run_job(folder, values | {"store": server.uri("store")}, environ=server.environment())
            ours.append(job.images_per_second)
            notes = list(job.notes)
        with rclone_server(folder / f"loop-{number}") as server:
            loop = _upload(server, images)
            theirs.append(loop["images_per_second"])
            notes.append(f"CPU microseconds an image: boto3 loop {loop['microseconds']:,.0f}")
    name = f"{images:,} images to rclone's S3"
    return _figure(name, ours, theirs, "boto3 loop", 0.7), notes


def _figure(name: str, ours: list[float], theirs: list[float], loop: str, limit: float) -> Figure:
    return Figure(
        name=name,
        unit="images/s",
        ours=tuple(ours),
        baseline=tuple(theirs),
        baseline_name=loop,
        limit=limit,
        at_least=True,
    )


def _upload(server: S3Server, images: int) -> dict[str, float]:
    access = {"endpoint_url": server.endpoint_url, "region_name": server.region}
    secret = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    taken: dict[str, float] = in_child(upload_files, images=images, bucket=server.bucket, access=access | secret)
    return taken


def write_files(images: int, folder: str) -> dict[str, Any]:
    """The plain loop: make, encode, write; durable batch by batch."""
    renderer, work, made = stand_in(side=SIDE), prompts(images), set[Path]()
    started, cpu = time.perf_counter(), time.process_time()
    for batch in batches(work, side=SIDE):
        written, folders = [], set()
        for asked, picture in zip(batch, renderer.decode(renderer.denoise(batch, batch_size=BATCH)), strict=True):
            key, body = made_file(asked, picture)
            path = Path(folder, key)
            if path.parent not in made:
                path.parent.mkdir(parents=True)
                made.add(path.parent)
            file = path.open("wb")
            file.write(body)
            file.flush()
            written.append(file)
            folders.add(path.parent)
        for file in written:
            os.fsync(file.fileno())
            file.close()
        for changed in folders:
            _sync(changed)
    return {
        "images_per_second": images / (time.perf_counter() - started),
        "microseconds": 1e6 * (time.process_time() - cpu) / images,
    }


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def upload_files(images: int, bucket: str, access: dict[str, str]) -> dict[str, Any]:
    """The boto3 loop: put what is made already."""
    import boto3
    from botocore.config import Config

    renderer = stand_in(side=SIDE)
    files = [
        made_file(asked, picture)
        for batch in batches(prompts(images), side=SIDE)
        for asked, picture in zip(batch, renderer.decode(renderer.denoise(batch, batch_size=BATCH)), strict=True)
    ]
    client = boto3.client("s3", config=Config(max_pool_connections=UPLOAD_THREADS), **access)  # type: ignore[call-overload]
    with ThreadPoolExecutor(UPLOAD_THREADS) as executor:
        started, cpu = time.perf_counter(), time.process_time()
        list(executor.map(lambda file: client.put_object(Bucket=bucket, Key=file[0], Body=file[1]), files))
        return {
            "images_per_second": images / (time.perf_counter() - started),
            "microseconds": 1e6 * (time.process_time() - cpu) / images,
        }
