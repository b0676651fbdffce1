"""`reproduce`: reads the request from an image file, renders it once more as a job would, and compares."""

import hashlib
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from jobs.comparing.picture_difference import psnr, ssim
from jobs.driving import drive
from jobs.freezing import Frozen
from jobs.jobfile.jobfile import JobFile
from jobs.reproducing.origin import Origin, check_plausible, origin_of
from jobs.submit import enter
from jobs.wiring import open_store, settings_of
from pipeline.errors import ImageFileError, JobRefusedError
from pipeline.imaging.metadata import read_request
from pipeline.job import Job, JobState, TaskSizes
from pipeline.ledger.buckets import read_records, record_infos
from pipeline.manifest.table import schema
from pipeline.ports import Store
from pipeline.record import Outcome, Profile, Record
from pipeline.request import Request
from pipeline.status import Status

ALIKE_DECIBELS, ALIKE_SSIM = 30.0, 0.95
"""From here on two pictures are the same to the eye, as other devices and versions make them."""

_MOST_BYTES = 1 << 30

Verdict = Literal["identical", "same_pixels", "alike", "different"]
"""The same bytes; other bytes that show the same; the same to the eye; none of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """How an image compares with itself, rendered again."""

    image: str
    image_id: str
    verdict: Verdict
    psnr: float | None
    """Decibels; None where the sizes differ."""
    ssim: float | None
    same_profile: bool | None
    """Whether device, software and batch shape are those that made it: then bits are promised. None: nobody knows."""
    prompt: str
    seed: int
    model: str
    job: str
    """The job of the store that made it; empty when none is known."""

    @property
    def reproduced(self) -> bool:
        """Whether what was promised is kept: the same bits under the same profile, else the same to the eye."""
        return self.verdict in {"identical", "same_pixels"} or (self.verdict == "alike" and not self.same_profile)


def reproduce(
    path: Path,
    *,
    store: Store | None = None,
    model: str | None = None,
    address: str | None = None,
    output: Path | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> Reproduced:
    """Render an image file's request again, and compare.

    Args:
        path: of the image.
        store: where the job that made it may lie; it tells the profile, and where LoRAs are.
        model: which model to load, where no store tells.
        address: an existing Ray cluster, `in-process`, or None for this machine.
        output: where to leave the new file; None: nowhere.
        on_status: told the status of the one-image job.

    Raises:
        ImageFileError: no image of ours, an edited one, or one that asks for what no manifest may.
        ModelError: its model is not known, or cannot render it.
        JobRefusedError: it could not be rendered; the message says why.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ImageFileError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB")
        before = path.read_bytes()
    except OSError as error:
        raise ImageFileError(f"{path}: cannot be read: {error.strerror}; is the path right?") from error
    try:
        request, image_id = read_request(before)
    except ImageFileError as error:
        raise ImageFileError(f"{path}: {error}") from error
    check_plausible(request, path)
    origin = origin_of(request, store=store, model=model, extension=_format(before))
    first = _pixels(before, path)
    request = replace(request, variant=origin.variant)
    after, profile = _rendered(request, origin, address=address, on_status=on_status)
    if output is not None:
        output.write_bytes(after)
    second = _pixels(after, path)
    alike = first.shape == second.shape
    decibels, likeness = (psnr(first, second), ssim(first, second)) if alike else (None, None)
    return Reproduced(
        image=str(path),
        image_id=image_id,
        verdict="identical" if before == after else _verdict(first, second, decibels, likeness),
        psnr=decibels,
        ssim=likeness,
        same_profile=None if origin.profile is None or profile is None else origin.profile == profile,
        prompt=request.prompt,
        seed=request.seed,
        model=origin.model.name,
        job=origin.job,
    )


def _verdict(
    first: NDArray[np.uint8], second: NDArray[np.uint8], decibels: float | None, likeness: float | None
) -> Verdict:
    """How far apart the pixels are."""
    if first.shape == second.shape and bool((first == second).all()):
        return "same_pixels"
    if decibels is not None and likeness is not None and decibels >= ALIKE_DECIBELS and likeness >= ALIKE_SSIM:
        return "alike"
    return "different"


def _rendered(
    request: Request, origin: Origin, *, address: str | None, on_status: Callable[[Status], None] | None
) -> tuple[bytes, Profile | None]:
    """The request as a job of one image, in a store of its own; its file and its profile. Raises: JobRefusedError."""
    with tempfile.TemporaryDirectory(prefix="spotrender-") as folder:
        store = open_store(str(Path(folder) / "store"))
        with _frozen(request, origin, Path(folder)) as frozen:
            job, _, _ = enter(store, frozen)
            status = drive(job, frozen.table(), store, address=address, workers=1, on_status=on_status)
        record = _record(store, job)
        image = None if record is None else record.images[0]
        if record is None or image is None or image.outcome is not Outcome.RENDERED:
            why = image.message or image.cause if image else status.message or status.state.value
            raise JobRefusedError(f"it could not be rendered: {why}")
        if status.state is not JobState.SUCCEEDED:
            raise JobRefusedError(f"it could not be rendered: {status.message or status.state.value}")
        return store.get(image.key), record.profile


@contextmanager
def _frozen(request: Request, origin: Origin, folder: Path) -> Iterator[Frozen]:
    """The job, as a submit would have frozen it."""
    batch = origin.profile.batch_size if origin.profile else origin.model.batch_size or 1
    model = replace(origin.model, batch_size=batch, weights={})
    job = Job(
        name="reproduce",
        digest=hashlib.sha256(request.image_id.encode()).hexdigest(),
        models=(model,),
        variants=(request.variant,),
        variant_models=(model.name,),
        output=origin.output,
        sizes=TaskSizes(batch=batch, largest=batch),
        images=1,
        request_files=1,
        submitted_at=datetime.now(UTC),
        manifest="-",
    )
    row: dict[str, object] = {
        "row": 0,
        "line": 1,
        "index": 0,
        "custom_id": None,
        "image_id": request.image_id,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "model": model.name,
        "variant": 0,
        "tags": [],
    }
    variant = request.variant
    row |= {name: getattr(variant, name) for name in ("width", "height", "steps", "guidance_scale", "scheduler")}
    place = folder / "requests.parquet"
    pq.write_table(pa.Table.from_pylist([row], schema=schema()), place)
    job_file = JobFile(name="reproduce", manifest="-", store=str(folder / "store"), model=model.name, workers=1)
    settings = settings_of(job_file, os.environ)
    yield Frozen(job=job, settings=settings, files=(place,), rows=1, requests=1, distinct=1, warnings=())


def _record(store: Store, job: Job) -> Record | None:
    """The record of the only image; None when there is none."""
    with ThreadPoolExecutor(1) as executor:
        found = [stored.record for stored in read_records(store, record_infos(store, job), executor)]
    return next((record for record in found if record.images), None)


def _pixels(body: bytes, path: Path) -> NDArray[np.uint8]:
    """The pixels of a file that may be anybody's: (height, width, 3). Raises: ImageFileError: it does not decode."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(body), formats=("PNG", "WEBP", "JPEG")) as image:
                return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageFileError(f"{path}: its pixels cannot be read: {error}") from error


def _format(body: bytes) -> str:
    """`png`, `webp` or `jpeg`, by its first bytes."""
    return "png" if body[:4] == b"\x89PNG" else "webp" if body[:4] == b"RIFF" else "jpeg"
