"""Puts jobs into a store's ledger as drivers would have left them: real records, sealed buckets, real node sessions.

Time lines are made with the books themselves, so that every session balances to the nano-dollar.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from pipeline.job import Job
from pipeline.ledger.books import Category, NodeSession
from pipeline.ledger.buckets import nanoseconds, seal
from pipeline.ledger.checkpoint import add_up, spent_in
from pipeline.ledger.nodes import write_nodes_ledger
from pipeline.ledger.tally import StoredRecord
from pipeline.plan import task_id
from pipeline.ports import Store
from pipeline.pricing.money import interval_nano_usd, split, usd
from pipeline.record import GpuUse, Node, Outcome, Profile, Record, RecordedImage
from tests.jobs.made_job import NOW, make_job

PROFILE = Profile(device="L4", versions={}, batch_size=4, precision="fp16", threads=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch on a device."""

    images: int = 4
    seconds: float = 8
    fate: str = "rendered"
    """`rendered`, `failed`, `again` (images that the batch before had too), or `lost` with the node or worker."""
    cause: str = "BAD_OUTPUT"
    """Of failed ones."""
    model: str = "synthetic"
    width: int = 64
    height: int = 64
    steps: int = 4
    tags: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = 0
    gpu_use: GpuUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One node session, one GPU."""

    name: str
    node_type: str = "g6.xlarge"
    market: str = "spot"
    provider: str = "aws"
    zone: str = "us-east-1a"
    usd_per_hour: Decimal = Decimal("0.36")
    gpu: str = "L4"
    node_id: str = ""
    starts: float = 0
    """Seconds after the job's submit."""
    startup: float = 30
    batches: Sequence[Batch] = ()
    idle: float = 2
    """Seconds after the last batch."""
    ends: str = "released"
    """`released`, `reclaimed`, `lost` or `running`."""


def make_ledger(
    store: Store,
    lives: Sequence[Life],
    *,
    name: str = "demo",
    submitted_at: datetime = NOW,
    reused: int = 0,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> Job:
    """Write one job's ledger, and its `job.json`; images that earlier jobs made belong to no node."""
    job, _ = make_job(store, (f"{name} row",), name=name, submitted_at=submitted_at)
    numbers = itertools.count()
    buckets: list[list[Record]] = [[], []]
    sessions = []
    at_ns = nanoseconds(submitted_at)
    for place, life in enumerate(lives):
        session, records = _live(job, life, at_ns + round(life.starts * 1e9), numbers)
        sessions.append(session)
        buckets[place % 2] += records
    if reused:
        images = tuple(_image(next(numbers), job, Outcome.REUSED) for _ in range(reused))
        buckets[0].append(Record(job=job.id, task=task_id(0), attempt="driver", sequence=0, node=None, images=images))
    written = []
    for bucket, some in enumerate(buckets):
        stored = [StoredRecord(record=one, modified_at=NOW + timedelta(seconds=n)) for n, one in enumerate(some)]
        if stored:
            written.append(spent_in(seal(store, job, bucket, stored, done=True)))
    total = add_up(written)
    end_ns = max((line.since_ns for session in sessions for line in session.gpus), default=at_ns)
    write_nodes_ledger(store, job, sessions, total, now_ns=end_ns, beside=beside)
    return job


def _live(job: Job, life: Life, at_ns: int, numbers: "itertools.count[int]") -> tuple[NodeSession, list[Record]]:
    """The session's books and the records that it left."""
    node = Node(
        node_session=f"{life.name}-{job.id[-8:]}",
        node_id=life.node_id or life.name,
        provider=life.provider,
        node_type=life.node_type,
        market=life.market,
        gpu=life.gpu,
        gpu_count=1,
        region=life.zone[:-1],
        zone=life.zone,
        usd_per_hour=life.usd_per_hour,
    )
    session, records = NodeSession(node, started_ns=at_ns), list[Record]()
    at_ns += round(life.startup * 1e9)
    last: tuple[RecordedImage, ...] = ()
    for sequence, batch in enumerate(life.batches):
        began_ns, at_ns = at_ns, at_ns + round(batch.seconds * 1e9)
        session.switch(0, began_ns, (life.name, sequence))
        session.switch(0, at_ns, Category.IDLE)
        if batch.fate == "lost":
            fate = Category.LOST_TO_PREEMPTION if life.ends == "reclaimed" else Category.LOST_TO_FAILURE
            session.settle(0, (life.name, sequence), fate)
            continue
        session.settle(0, (life.name, sequence), Category.COMMITTED)
        outcome = Outcome.FAILED if batch.fate == "failed" else Outcome.RENDERED
        images = (
            last
            if batch.fate == "again"
            else tuple(_image(next(numbers), job, outcome, batch) for _ in range(batch.images))
        )
        record = _record(job, node, batch, life.name, sequence, began_ns, at_ns, images)
        records.append(record)
        last = record.images
    at_ns += round(life.idle * 1e9)
    if life.ends == "running":
        session.switch(0, at_ns, Category.IDLE)
        session.heartbeat_ns = at_ns
    else:
        session.switch(0, at_ns, Category.IDLE)
        session.end(at_ns, life.ends, Category.LOST_TO_FAILURE)
    return session, records


def _record(
    job: Job,
    node: Node,
    batch: Batch,
    attempt: str,
    sequence: int,
    began_ns: int,
    ended_ns: int,
    images: tuple[RecordedImage, ...],
) -> Record:
    cost = interval_nano_usd(
        usd_per_hour=node.usd_per_hour, gpu_count=1, gpu_index=0, started_ns=began_ns, ended_ns=ended_ns
    )
    weights = [1] * len(images)
    shares = zip(images, split(ended_ns - began_ns, weights), split(cost, weights), strict=True)
    return Record(
        job=job.id,
        task=task_id(sequence),
        attempt=attempt,
        sequence=sequence,
        node=node,
        profile=PROFILE,
        model=batch.model,
        width=batch.width,
        height=batch.height,
        steps=batch.steps,
        started_ns=began_ns,
        ended_ns=ended_ns,
        gpu_nanoseconds=ended_ns - began_ns,
        usd=usd(cost),
        memory_bytes=batch.memory_bytes,
        gpu_use=batch.gpu_use,
        images=tuple(replace(image, gpu_nanoseconds=time, usd=usd(money)) for image, time, money in shares),
    )


def _image(number: int, job: Job, outcome: Outcome, batch: Batch | None = None) -> RecordedImage:
    image_id = hashlib.sha256(f"{job.id} {number}".encode()).hexdigest()
    failed = outcome is Outcome.FAILED
    return RecordedImage(
        image_id=image_id,
        outcome=outcome,
        key="" if failed else f"images/{image_id[:2]}/{image_id}-{image_id[:16]}.png",
        bytes=0 if failed else 1000,
        sha256="" if failed else image_id,
        cause=batch.cause if batch and failed else "",
        tags=dict(batch.tags) if batch else {},
    )


def day(number: int) -> datetime:
    """The n-th day of November 2026, in the morning."""
    return datetime(2026, 11, number, 6, 0, tzinfo=UTC)
