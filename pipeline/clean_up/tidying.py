"""What is no image: records of ended jobs are packed; what was said again since, leases and old caches go."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from pipeline.clean_up.finding import Leftover, unnamed_weights
from pipeline.clean_up.packs import pack, unpack, with_packed
from pipeline.clean_up.standing import JobStand
from pipeline.driving.lease import Lease
from pipeline.job import Job
from pipeline.layout import lease_key, packed_key, record_name, record_task
from pipeline.ledger.buckets import bucket_name, read_records, record_infos, sealed_buckets, told_table
from pipeline.ledger.tally import StoredRecord
from pipeline.plan import task_number
from pipeline.ports import ObjectInfo, Store

_FOUND_IN = ["task_id", "image_id", "outcome", "key", "record"]
"""What a sealed bucket must say as its records do, before they are packed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """What was done beside the images."""

    records: int = 0
    """Packed, their own objects removed."""
    objects: int = 0
    """Others that were removed."""

    def __add__(self, other: "Tidied") -> "Tidied":
        return Tidied(records=self.records + other.records, objects=self.objects + other.objects)


def tidy_job(store: Store, stand: JobStand, left: Sequence[Leftover], *, lease: Lease, executor: Executor) -> Tidied:
    """Tidy one job, whose lease is held; it is gone afterwards, so that nobody waits for it.

    Raises:
        LeaseLostError: a driver has taken the job over; what was done so far is sound.
    """
    records = 0
    if stand.job is not None and any(one.kind == "records" for one in left):
        records = _pack_records(store, stand.job, lease, executor)
    others = [one.key for one in left if one.kind == "fences"]
    for key in others:
        lease.check()
        store.delete(key)
    lease.confirm()
    store.delete(lease_key(stand.name))
    return Tidied(records=records, objects=len(others) + 1)


def tidy_store(store: Store, left: Sequence[Leftover], *, now: datetime, check: Callable[[], None]) -> Tidied:
    """Remove what is no job's; `check` raises when nothing more may be removed.

    A model may have been pushed meanwhile, so its files are looked at once more.
    """
    weights = any(one.kind == "weights" for one in left)
    unnamed = {one.key for one in unnamed_weights(store, now)} if weights else set()
    keys = [one.key for one in left if one.kind != "weights" or one.key in unnamed]
    for key in keys:
        check()
        store.delete(key)
    return Tidied(objects=len(keys))


def _pack_records(store: Store, job: Job, lease: Lease, executor: Executor) -> int:
    """Pack the records of every sealed bucket that says all that they say; gives how many objects went."""
    infos: dict[int, list[ObjectInfo]] = {}
    for info in record_infos(store, job):
        infos.setdefault(task_number(record_task(info.key)) // job.sizes.tasks_per_bucket, []).append(info)
    counts = {bucket: len(some) for bucket, some in infos.items()}
    packed = 0
    for bucket, table in sealed_buckets(store, job, counts, executor, _FOUND_IN):
        lease.keep()
        if bucket not in infos:
            continue
        stored = with_packed(store, job, bucket, read_records(store, infos[bucket], executor))
        if told_table(stored).select(_FOUND_IN).to_pylist() == table.to_pylist():
            packed += _pack(store, packed_key(job.id, bucket_name(bucket)), stored, infos[bucket], lease)
    return packed


def _pack(store: Store, place: str, stored: list[StoredRecord], infos: Sequence[ObjectInfo], lease: Lease) -> int:
    """Write the pack, read it back, and remove what is in it."""
    lease.confirm()
    store.put(place, pack(stored))
    inside = {item.record.name: item for item in unpack(store.get(place))}
    if inside != {item.record.name: item for item in stored}:
        return 0
    going = [info.key for info in infos if record_name(info.key) in inside]
    for key in going:
        lease.check()
        store.delete(key)
    return len(going)
