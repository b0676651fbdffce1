"""Puts a half done job of any size into a local store, as its driver would have left it, with plain file writes."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.freezing import Frozen, freeze
from jobs.jobfile.loading import Options, load
from jobs.submit import enter
from jobs.wiring import open_store
from pipeline.events import WorkerReady, WorkerStarting
from pipeline.job import Job
from pipeline.layout import image_key, record_key
from pipeline.ledger.accounts import Accounts
from pipeline.ledger.buckets import seal
from pipeline.ledger.tally import StoredRecord
from pipeline.plan import Plan, Task
from pipeline.record import Node, Outcome, Profile, Record, RecordedImage, record_to_json

LAST_RECORDS = 1000
"""So many are in buckets that are still open."""

BATCH_NS = 100_000_000
"""What each batch took on the device."""

NODE = Node(
    node_session="killed-node",
    node_id="killed-node",
    provider="local",
    node_type="local",
    market="local",
    gpu="cpu",
    gpu_count=1,
    usd_per_hour=Decimal("0.10"),
)
PROFILE = Profile(device="synthetic-cpu", versions={"synthetic": "1"}, batch_size=8, precision="fp32", threads=2)


def leave_half_done(job_file: str, last_records: int) -> dict[str, Any]:
    """Freeze a job, enter it, and pretend that half of it was rendered: sealed buckets, then some open records."""
    values = load(job_file, Options())
    store = open_store(values.store)
    with freeze(values, environ={}, stdin=sys.stdin.buffer) as frozen:
        job, _, _ = enter(store, frozen)
        maker = _RecordMaker(job, Plan(frozen.table(), job.sizes), _image_ids(frozen))
    folder = Path(values.store, record_key(job.id, "x")).parent
    folder.mkdir(parents=True)
    sealed, records, images = maker.plan.buckets // 2, 0, 0
    for bucket in range(sealed):
        made = [record for task in maker.plan.tasks_of(bucket) for record in maker.records(maker.plan[task])]
        now = datetime.now(UTC)
        for record in made:
            (folder / f"{record.name}.json").write_bytes(record_to_json(record))
        seal(store, job, bucket, [StoredRecord(record=record, modified_at=now) for record in made], done=True)
        records, images = records + len(made), images + sum(len(record.images) for record in made)
    first_open = maker.plan.tasks_of(sealed).start
    for record, _ in zip(maker.all_from(first_open), range(last_records), strict=False):
        (folder / f"{record.name}.json").write_bytes(record_to_json(record))
        records, images = records + 1, images + len(record.images)
    _leave_node(job.id, maker, store)
    os.sync()
    return {"sealed": sealed, "records": records, "committed": images}


class _RecordMaker:
    """Makes the records of a job's tasks, one batch after the other on one node."""

    def __init__(self, job: Job, plan: Plan, image_ids: pa.Array) -> None:
        self.plan = plan
        self.started_ns = self.now_ns = time.time_ns() - 10**15
        self._job = job
        self._image_ids = image_ids

    def all_from(self, task: int) -> Iterator[Record]:
        """The records of this task and all that follow."""
        for number in range(task, len(self.plan)):
            yield from self.records(self.plan[number])

    def records(self, task: Task) -> Iterator[Record]:
        """The records of one task."""
        attempt = hashlib.sha256(task.id.encode()).hexdigest()[:16]
        size, model = self._job.sizes.batch, self._job.model_of(task.variant)
        variant = self._job.variants[task.variant]
        for sequence, start in enumerate(range(0, len(task.places), size)):
            positions = self.plan.positions[list(task.places[start : start + size])]
            ids = self._image_ids.take(pa.array(positions)).to_pylist()
            began_ns, self.now_ns = self.now_ns, self.now_ns + BATCH_NS
            yield Record(
                job=self._job.id,
                task=task.id,
                attempt=attempt,
                sequence=sequence,
                node=NODE,
                profile=PROFILE,
                model=model.name,
                width=variant.width,
                height=variant.height,
                steps=variant.steps,
                started_ns=began_ns,
                ended_ns=self.now_ns,
                gpu_nanoseconds=BATCH_NS,
                usd=Decimal(len(ids)) * Decimal("0.000000347"),
                stages_ns={"denoise": BATCH_NS, "decode": 900_000, "encode": 1_500_000, "upload": 4_000_000},
                images=tuple(_image(image_id, BATCH_NS // len(ids)) for image_id in ids),
            )


def _image(image_id: str, share_ns: int) -> RecordedImage:
    sha256 = hashlib.sha256(image_id.encode()).hexdigest()
    return RecordedImage(
        image_id=image_id,
        outcome=Outcome.RENDERED,
        key=image_key(image_id, sha256, "png"),
        bytes=5_432,
        sha256=sha256,
        gpu_nanoseconds=share_ns,
        usd=Decimal("0.000000347"),
    )


def _image_ids(frozen: Frozen) -> pa.Array:
    """The image ids of all rows, in manifest order."""
    columns = [pq.read_table(file, columns=["image_id"])["image_id"] for file in frozen.files]
    return pa.chunked_array([chunk.cast(pa.string()) for column in columns for chunk in column.chunks]).combine_chunks()


def _leave_node(job: str, maker: _RecordMaker, store: Any) -> None:
    """The node's session with its last heartbeat."""
    accounts = Accounts(job=job, fence=1, earlier={}, last_seen_ns={})
    accounts.hear(WorkerStarting(worker="w", node=NODE, gpu_index=0, at_ns=maker.started_ns))
    accounts.hear(WorkerReady(worker="w", at_ns=maker.started_ns))
    accounts.write(store, maker.now_ns)
