"""A job that is submitted in this process, over whatever store it is given, and what the store holds of it."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.jobfile.loading import Options, load
from jobs.submit import SubmitResult, submit
from pipeline.layout import records_prefix
from pipeline.ports import Store
from pipeline.record import Outcome, Record, record_from_json
from pipeline.status import Status

BATCH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallJob:
    """Some pictures from the stand-in renderer."""

    file: Path
    """The job file."""
    images: int

    def submit(self, on_status: Callable[[Status], None] | None = None) -> SubmitResult:
        """Drive it here, with workers in threads."""
        return submit(load(str(self.file), Options()), address="in-process", on_status=on_status)


def small_job(
    folder: Path, store: str, *, images: int, workers: int = 2, seconds_per_batch: float = 0.05, side: int = 16
) -> SmallJob:
    """A job file and its manifest.

    Args:
        folder: where to write them.
        store: URI.
        images: how many prompts.
        workers: in threads of this process.
        seconds_per_batch: what the stand-in takes for a batch of `BATCH`.
        side: of the pictures, pixels.
    """
    (folder / "prompts.txt").write_text("".join(f"picture {number}\n" for number in range(images)))
    file = folder / "job.yaml"
    options = {"seconds_per_batch": seconds_per_batch, "batch_size": BATCH, "width": side, "height": side}
    file.write_text(
        f"name: small\nmanifest: prompts.txt\nstore: {store}\nmodel: synthetic\nworkers: {workers}\n"
        f"model_options: {json.dumps(options)}\n"
    )
    return SmallJob(file=file, images=images)


def records_of(store: Store, job: str) -> list[Record]:
    """All records of a job."""
    return [record_from_json(store.get(info.key)) for info in store.list(records_prefix(job))]


def check_each_image_once(store: Store, result: SubmitResult, images: int) -> None:
    """Every image is rendered, named by one record, and what the record names is in the store."""
    assert (result.total, result.rendered, result.failed) == (images, images, 0)
    named = [image for record in records_of(store, result.job) for image in record.images]
    assert {image.outcome for image in named} == {Outcome.RENDERED}
    assert set(Counter(image.image_id for image in named).values()) == {1}
    assert len(named) == images
    held = {info.key: info.size_bytes for info in store.list("images/")}
    assert {image.key: image.bytes for image in named} == held
