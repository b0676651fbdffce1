"""What of a store is left over, found by looking alone."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import numpy as np

from pipeline.clean_up.needs import (
    IMAGE_KEY,
    NO_FILES,
    NO_IDS,
    Files,
    Ids,
    among,
    files_of,
    ids_in,
    named,
    named_by_others,
    requested,
)
from pipeline.clean_up.standing import SETTLED, Free, JobStand, Rules, Stand, stand_of
from pipeline.job import Job
from pipeline.layout import MODEL_BLOBS, is_job_id, job_folder, lease_key, record_task
from pipeline.ledger.buckets import is_sealed
from pipeline.plan import task_number
from pipeline.ports import ObjectInfo, Store
from pipeline.pushed_models import list_weights
from pipeline.weights import GRACE_SECONDS, unnamed_blobs

YOUNG: Final = timedelta(hours=1)
"""No file is removed that was written since, whoever named it once."""

STALE: Final = timedelta(days=90)
"""Compiled code that nobody wrote anew for so long is not kept; what needs it compiles it again."""

Kind = Literal["records", "leases", "fences", "probes", "compiled", "weights"]
"""Records of ended jobs; their leases; what earlier drivers of them said; probes; compiled code; files of no model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One object that is no image."""

    kind: Kind
    key: str
    bytes: int
    job: str = ""
    """Whose it is; empty where it is no job's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What may go."""

    stands: tuple[JobStand, ...]
    """All jobs of the store."""
    expired: Mapping[str, int]
    """Key -> bytes of image files that expired jobs alone name."""
    orphans: Mapping[str, int]
    """Those that nobody names."""
    images_of: Mapping[str, Files]
    """By expired job: what of it is among them."""
    leftovers: tuple[Leftover, ...]


def find(store: Store, *, rules: Rules, now: datetime, is_free: Free, executor: Executor) -> Found:
    """Look at every job, at what it needs, and at every image file.

    Memory is 16 bytes for each image that a live job asks for, 24 for each that an ended one names, and the keys of
    what may go.

    Args:
        store: where.
        rules: what to keep.
        now: by the store's clock.
        is_free: judges leases.
        executor: looks in parallel; nothing that runs on it may wait for it.

    Raises:
        JobRefusedError: it cannot be told what some job needs.
    """
    names = [folder.rstrip("/") for folder in store.list_folders("jobs/") if is_job_id(folder.rstrip("/"))]
    stands = tuple(executor.map(lambda name: stand_of(store, name, rules=rules, now=now, is_free=is_free), names))
    alive = [one.name for one in stands if one.stand in {Stand.LIVES, Stand.STARTS}]
    ids = np.unique(np.concatenate([NO_IDS, *executor.map(lambda name: requested(store, name), alive)]))
    kept = [named_by_others(store, (one.name for one in stands if one.job is not None))]
    kept += [named(store, one.job, executor) for one in stands if one.stand is Stand.KEPT and one.job]
    gone = {one.name: named(store, one.job, executor) for one in stands if one.stand is Stand.EXPIRED and one.job}
    expired, orphans = _image_files(
        store, ids, np.unique(np.concatenate(kept)), np.unique(np.concatenate([NO_FILES, *gone.values()])), now
    )
    doomed = np.sort(files_of(expired))
    return Found(
        stands=stands,
        expired=expired,
        orphans=orphans,
        images_of={name: files[among(files, doomed)] for name, files in gone.items()},
        leftovers=(*_of_jobs(store, stands, now, executor), *_of_store(store, now)),
    )


def _image_files(
    store: Store, ids: Ids, kept: Files, expired: Files, now: datetime
) -> tuple[dict[str, int], dict[str, int]]:
    """Key -> bytes of the files that only expired jobs name, and of those that nobody does; all arrays are sorted."""
    of_expired: dict[str, int] = {}
    orphans: dict[str, int] = {}
    for folder in store.list_folders("images/"):
        infos = [info for info in store.list(f"images/{folder}") if IMAGE_KEY.fullmatch(info.key)]
        files = files_of(info.key for info in infos)
        spared = among(ids_in(files), ids) | among(files, kept)
        known = among(files, expired)
        for info, is_spared, is_known in zip(infos, spared.tolist(), known.tolist(), strict=True):
            age = now - info.modified_at
            if not is_spared and age >= (YOUNG if is_known else SETTLED):
                (of_expired if is_known else orphans)[info.key] = info.size_bytes
    return of_expired, orphans


def _of_jobs(store: Store, stands: Sequence[JobStand], now: datetime, executor: Executor) -> list[Leftover]:
    """What ended jobs no longer need."""
    over = [one for one in stands if one.settled(now)]
    return [left for some in executor.map(lambda one: _of_job(store, one), over) for left in some]


def _of_job(store: Store, one: JobStand) -> list[Leftover]:
    infos = list(store.list(job_folder(one.name)))

    def left(kind: Kind, some: Sequence[ObjectInfo]) -> list[Leftover]:
        return [Leftover(kind=kind, key=info.key, bytes=info.size_bytes, job=one.name) for info in some]

    folder = job_folder(one.name)
    return [
        *left(
            "records", _packable(store, one.job, [info for info in infos if info.key.startswith(f"{folder}records/")])
        ),
        *left("fences", overtaken(infos, folder)),
        *left("leases", [info for info in infos if info.key == lease_key(one.name)]),
    ]


def _packable(store: Store, job: Job | None, infos: Sequence[ObjectInfo]) -> list[ObjectInfo]:
    """Those of a job's records whose bucket is sealed and was made of as many, as far as its file tells."""
    if job is None:
        return []
    buckets: dict[int, list[ObjectInfo]] = {}
    for info in infos:
        buckets.setdefault(task_number(record_task(info.key)) // job.sizes.tasks_per_bucket, []).append(info)
    return [info for bucket, some in buckets.items() if is_sealed(store, job, bucket, len(some)) for info in some]


def overtaken(infos: Sequence[ObjectInfo], folder: str) -> list[ObjectInfo]:
    """What drivers said of a job, or of a node session, and later ones said again; in the order of their keys."""
    told = [info for info in infos if info.key.startswith((f"{folder}status/", f"{folder}nodes/"))]
    last = {info.key.rpartition("/")[0]: info.key for info in told}
    return [info for info in told if last[info.key.rpartition("/")[0]] != info.key]


def _of_store(store: Store, now: datetime) -> list[Leftover]:
    """What is no job's."""
    old: list[tuple[Kind, str, timedelta]] = [
        ("probes", "jobs/.probe/", SETTLED),
        ("compiled", "memory/compiled/", STALE),
    ]
    found = [
        Leftover(kind=kind, key=info.key, bytes=info.size_bytes)
        for kind, prefix, age in old
        for info in store.list(prefix)
        if now - info.modified_at >= age
    ]
    return found + unnamed_weights(store, now)


def unnamed_weights(store: Store, now: datetime) -> list[Leftover]:
    """Files of models that no manifest names, and that no push relies on any more.

    Raises:
        ModelError: a manifest cannot be read, so that it cannot be told what it names.
    """
    grace = timedelta(seconds=GRACE_SECONDS)
    old = {info.key: info.size_bytes for info in store.list(MODEL_BLOBS) if now - info.modified_at >= grace}
    keys = unnamed_blobs(old, list_weights(store)) if old else []
    return [Leftover(kind="weights", key=key, bytes=old[key]) for key in keys]
