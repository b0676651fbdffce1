"""q. Images are fetched, checked and named nearly as fast as rclone copies the same files from the same server."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.figures import Figure, Scale, Section
from tests.infra.servers import S3Server, rclone_server
from tests.jobs.made_job import make_job

ROUNDS = 2
TRANSFERS = 16

METHOD = """Images of a job, made of random bytes, in `rclone serve s3` on this machine, which serves both. *Download*:
`spotrender download` as a process of its own, from its start to its end: Python, the job's requests and records, every
file hashed and named, both indexes. *rclone*: `rclone copy` of the folder of images, with as many transfers at a time
(16) and its own checks, from its start to its end. Each into an empty folder, in turns."""


def run(folder: Path, scale: Scale) -> Section:
    """Large images, then small ones."""
    figures = []
    with rclone_server(folder / "served") as server:
        for label, count, size in (
            ("1,500 images of 1.5 MB", scale.pick(1500, 4), 1_500_000),
            ("6,000 images of 100 kB", scale.pick(6000, 8), 100_000),
        ):
            prefix = f"renders-{size}"
            make(server, prefix, count=count, size=size)
            ours, theirs = [], []
            for _ in scale.rounds_or(ROUNDS):
                ours.append(count / download(server, prefix, folder / "ours"))
                theirs.append(count / rclone(server, prefix, folder / "theirs"))
            figures.append(
                Figure(
                    name=label,
                    unit="images/s",
                    ours=tuple(ours),
                    baseline=tuple(theirs),
                    baseline_name="rclone copy",
                    limit=0.8,
                    at_least=True,
                )
            )
            shutil.rmtree(folder / "served" / server.bucket / prefix)
    return Section(key="q", title="Download", method=METHOD, figures=tuple(figures))


def make(server: S3Server, prefix: str, *, count: int, size: int) -> None:
    """A job with so many images of so many bytes."""
    dice = random.Random(size)
    make_job(
        server.store(prefix),
        [f"image-{number:05d}" for number in range(count)],
        body_of=lambda _number: dice.randbytes(size),
        batch=1024,
    )


def download(server: S3Server, prefix: str, to: Path) -> float:
    """Seconds of our command."""
    command = [sys.executable, "-m", "jobs.console", "download", "demo", "--store", server.uri(prefix), "--to", str(to)]
    return seconds_of(command, server.environment(), to)


def rclone(server: S3Server, prefix: str, to: Path) -> float:
    """Seconds of rclone's."""
    remote = f":s3,provider=Rclone,endpoint='{server.endpoint_url}',env_auth=true:{server.bucket}/{prefix}/images"
    program = str(Path(sys.executable).parent / "rclone")
    return seconds_of(
        [program, "--config", "", "copy", "--transfers", str(TRANSFERS), remote, str(to)], server.environment(), to
    )


def seconds_of(command: list[str], environ: Mapping[str, str], to: Path) -> float:
    """How long a command takes that fills a folder, which is removed."""
    started = time.perf_counter()
    subprocess.run(command, check=True, env={**os.environ, **environ}, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    assert any(to.rglob("*.png"))
    shutil.rmtree(to)
    return seconds
