"""Puts a whole job into a store as a driver would have left it: requests, images, records, status."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.assignment import Output
from pipeline.job import Job, JobState, TaskSizes, job_to_json
from pipeline.layout import image_key, job_key, record_key, requests_key, status_key
from pipeline.manifest.table import schema
from pipeline.model import Model
from pipeline.plan import task_id
from pipeline.ports import Store
from pipeline.record import Outcome, Record, RecordedImage, record_to_json
from pipeline.request import Request, Variant
from pipeline.status import Status, status_to_json

NOW = datetime(2026, 11, 21, 7, 0, tzinfo=UTC)
"""When the made driver spoke last."""

BATCH = 2
"""Images of one record."""

VARIANT = Variant(
    model="sha256:0",
    renderer="synthetic",
    pixel_version=1,
    precision="fp32",
    width=8,
    height=8,
    steps=1,
    guidance_scale=0.0,
    scheduler="",
)
MODEL = Model(
    name="synthetic",
    renderer="synthetic",
    pixel_version=1,
    source="synthetic",
    revision="sha256:0",
    pipeline_class="",
    precision="fp32",
    unit=1,
    width=8,
    height=8,
    steps=1,
    guidance_scale=0.0,
    scheduler="",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeImage:
    """One image as it was put into the store."""

    custom_id: str | None
    image_id: str
    key: str
    body: bytes
    record: str


def picture(number: int) -> bytes:
    """A small PNG; another number gives other bytes."""
    sink = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, 7)).save(sink, "PNG")
    return sink.getvalue()


def status_of(job: Job, *, total: int, rendered: int, state: JobState = JobState.SUCCEEDED, failed: int = 0) -> Status:
    """What a driver would have said last, at `NOW`."""
    return Status(
        job=job.id,
        state=state,
        phase="finished" if state.terminal else "rendering",
        total=total,
        rendered=rendered,
        reused=0,
        failed=failed,
        rendered_now=rendered,
        images_per_second=2.5,
        eta_seconds=None if state.terminal else 90.0,
        usd=Decimal("0.0123"),
        workers_ready=0 if state.terminal else 2,
        workers_starting=0,
        workers_lost=0,
        seconds=61.0,
        message="",
        started_at=NOW.isoformat(),
        updated_at=NOW.isoformat(),
        fence=1,
    )


def make_job(
    store: Store,
    custom_ids: Sequence[str | None] = ("cat", "dog", "sun"),
    *,
    name: str = "demo",
    failed: Sequence[str] = (),
    missing: Sequence[str] = (),
    state: JobState = JobState.SUCCEEDED,
    files: int = 1,
    submitted_at: datetime = NOW,
    body_of: Callable[[int], bytes] = picture,
    batch: int = BATCH,
) -> tuple[Job, list[MadeImage]]:
    """Write a job with one image a row.

    Args:
        store: where to.
        custom_ids: of the rows.
        name: of the job.
        failed: custom ids whose image was given up.
        missing: custom ids that no record names yet.
        state: what the driver said last.
        files: over how many requests files the rows are spread.
        submitted_at: when it was frozen.
        body_of: makes the file of each row.
        batch: images of one record, and rows of one row group.
    """
    digest = hashlib.sha256(repr((name, custom_ids)).encode()).hexdigest()
    job = Job(
        name=name,
        digest=digest,
        models=(MODEL,),
        variants=(VARIANT,),
        variant_models=("synthetic",),
        output=Output(),
        sizes=TaskSizes(batch=batch, largest=batch),
        images=len(custom_ids),
        request_files=files,
        submitted_at=submitted_at,
        manifest="prompts.jsonl",
    )
    requests = [
        Request(prompt=f"picture {row}", negative_prompt="", seed=row, variant=VARIANT)
        for row in range(len(custom_ids))
    ]
    _write_requests(store, job, custom_ids, requests, files, batch)
    images = []
    for task, start in enumerate(range(0, len(custom_ids), batch)):
        images += _write_record(
            store, job, task, custom_ids[start : start + batch], requests[start:], failed, missing, body_of
        )
    store.put(job_key(job.id), job_to_json(job))
    rendered = len(images)
    status = status_of(job, total=len(custom_ids), rendered=rendered, state=state, failed=len(failed))
    store.put(status_key(job.id, 1), status_to_json(status))
    return job, images


def _write_requests(
    store: Store, job: Job, custom_ids: Sequence[str | None], requests: Sequence[Request], files: int, group: int
) -> None:
    rows: list[dict[str, object]] = [
        {
            "row": row,
            "line": row + 1,
            "index": 0,
            "custom_id": custom_id,
            "image_id": request.image_id,
            "prompt": request.prompt,
            "negative_prompt": "",
            "seed": request.seed,
            "width": 8,
            "height": 8,
            "steps": 1,
            "guidance_scale": 0.0,
            "scheduler": "",
            "model": "synthetic",
            "variant": 0,
            "tags": [],
        }
        for row, (custom_id, request) in enumerate(zip(custom_ids, requests, strict=True))
    ]
    share = -(-len(rows) // files)
    for number in range(files):
        sink = io.BytesIO()
        table = pa.Table.from_pylist(rows[number * share : (number + 1) * share], schema=schema())
        pq.write_table(table, sink, row_group_size=group)
        store.put(requests_key(job.id, number), sink.getvalue())


def _write_record(
    store: Store,
    job: Job,
    task: int,
    custom_ids: Sequence[str | None],
    requests: Sequence[Request],
    failed: Sequence[str],
    missing: Sequence[str],
    body_of: Callable[[int], bytes],
) -> list[MadeImage]:
    recorded: list[RecordedImage] = []
    made: list[MadeImage] = []
    name = f"{task_id(task)}-a{task}-000000"
    for custom_id, request in zip(custom_ids, requests, strict=False):
        if custom_id in missing:
            continue
        if custom_id in failed:
            recorded.append(RecordedImage(image_id=request.image_id, outcome=Outcome.FAILED, cause="BAD_OUTPUT"))
            continue
        body = body_of(request.seed)
        digest = hashlib.sha256(body).hexdigest()
        key = image_key(request.image_id, digest, "png")
        store.put(key, body)
        recorded.append(
            RecordedImage(image_id=request.image_id, outcome=Outcome.RENDERED, key=key, bytes=len(body), sha256=digest)
        )
        made.append(MadeImage(custom_id=custom_id, image_id=request.image_id, key=key, body=body, record=name))
    if recorded:
        record = Record(
            job=job.id, task=task_id(task), attempt=f"a{task}", sequence=0, node=None, images=tuple(recorded)
        )
        assert record.name == name
        store.put(record_key(job.id, name), record_to_json(record))
    return made
