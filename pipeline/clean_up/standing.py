"""How a job stands as far as clean-up goes: whether it needs what it could render, what it has rendered, or nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pipeline.driving.control import latest_settings
from pipeline.driving.lease_state import SeenLease, read_lease
from pipeline.errors import JobRefusedError, NotFoundError
from pipeline.job import Job, job_from_json
from pipeline.layout import control_key, job_folder, job_key
from pipeline.ports import ObjectInfo, Store
from pipeline.status import Status, status_from_json

SETTLED: Final = timedelta(days=1)
"""What nobody named or changed for so long is no longer on its way: files of attempts, submits, probes."""


class Stand(StrEnum):
    """What a job needs."""

    LIVES = "lives"
    """All that its requests could be: it runs, waits, is paused, or cannot be judged."""
    STARTS = "starts"
    """The same: a submit is on its way."""
    KEPT = "kept"
    """What its ledger names: it has ended, and its images are within retention."""
    EXPIRED = "expired"
    """Nothing: it ended before its retention."""
    ABANDONED = "abandoned"
    """Nothing: a submit that died before the job was there. Its folder stays, as the next submit may just write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a user wants to keep."""

    older_than: timedelta | None = None
    """How long after its end the images of a job are kept that says nothing itself; None: for ever."""
    keep: frozenset[str] = field(default_factory=frozenset)
    """Ids of jobs whose images stay whatever they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStand:
    """One job."""

    name: str
    """Its id."""
    stand: Stand
    job: Job | None = None
    """None where there is none, or it cannot be read."""
    status: Status | None = None
    ended_at: datetime | None = None
    """By the store's clock, or when somebody asked for it again since; None while it goes on."""

    def settled(self, now: datetime) -> bool:
        """Whether it ended so long ago that nothing of it is on its way any more."""
        return self.ended_at is not None and now - self.ended_at >= SETTLED


Free = Callable[[str, SeenLease], bool]
"""Whether a lease that was not released is nobody's all the same: job id and the lease."""


def stand_of(store: Store, name: str, *, rules: Rules, now: datetime, is_free: Free) -> JobStand:
    """How one job stands; what this version cannot read is taken for alive.

    Args:
        store: where it lies.
        name: job id.
        rules: what to keep.
        now: by the store's clock.
        is_free: judges leases.
    """
    lives = JobStand(name=name, stand=Stand.LIVES)
    try:
        lease = read_lease(store, name)
        infos = list(store.list(f"{job_folder(name)}status/"))
        status = status_from_json(store.get(infos[-1].key)) if infos else None
        job = job_from_json(store.get(job_key(name)))
    except NotFoundError:
        return _without_job(store, name, now)
    except (JobRefusedError, ValueError, KeyError, TypeError):
        return lives
    driven = lease is not None and not lease.state.released and not is_free(name, lease)
    if driven or status is None or not status.state.terminal:
        return JobStand(name=name, stand=Stand.LIVES, job=job, status=status)
    asked = store.head(control_key(name))
    ended_at = max([infos[-1].modified_at, *([asked.modified_at] if asked else [])])
    retention = _retention(store, name, rules)
    over = retention is not None and now - ended_at >= retention and name not in rules.keep
    return JobStand(name=name, stand=Stand.EXPIRED if over else Stand.KEPT, job=job, status=status, ended_at=ended_at)


def _without_job(store: Store, name: str, now: datetime) -> JobStand:
    """A folder without `job.json`: a submit that writes its requests, or one that died."""
    infos: list[ObjectInfo] = list(store.list(job_folder(name)))
    fresh = any(now - info.modified_at < SETTLED for info in infos)
    driven = any("/status/" in info.key or info.key.endswith("/lease.json") for info in infos)
    return JobStand(name=name, stand=Stand.STARTS if fresh or driven else Stand.ABANDONED)


def _retention(store: Store, name: str, rules: Rules) -> timedelta | None:
    """How long the images of an ended job are kept; None: for ever, as where its settings cannot be read."""
    try:
        seconds = latest_settings(store, name)[1].retention_seconds
    except JobRefusedError:
        return rules.older_than
    except (ValueError, KeyError, TypeError, NotFoundError):
        return None
    return rules.older_than if seconds is None else timedelta(seconds=seconds)
