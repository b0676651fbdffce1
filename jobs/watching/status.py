"""What a job is doing, as anyone who can read its store sees it."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from jobs.watching.listing import find_job, read_job, settings_there
from pipeline.driving.lease_state import read_lease
from pipeline.job import Job, JobState, Settings
from pipeline.ports import Store
from pipeline.status import Status, read_status

SILENT_SECONDS = 120.0
"""A living job whose driver said nothing for so long has most likely lost it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job and what its driver last said."""

    job: Job
    status: Status | None
    """None before the first driver."""
    silent_since: datetime | None
    """When the driver spoke last, if that is too long ago for a job that runs."""
    driver: str = ""
    """Host and pid of who holds the job's lease; empty when nobody does, or it was not asked for."""
    settings: Settings | None = None
    """Those that hold; None for a job that was never submitted whole."""

    @property
    def state(self) -> JobState:
        """Where the job stands; PENDING before its first driver."""
        return self.status.state if self.status else JobState.PENDING

    @property
    def message(self) -> str:
        """Why it stands there and what to do about it; may be empty."""
        if self.silent_since is not None:
            return (
                f"driver silent since {self.silent_since.isoformat(timespec='seconds')},"
                " run submit again to resume; nothing that was committed is lost"
            )
        return self.status.message if self.status else "no driver yet; run submit to start it"


def read_view(store: Store, text: str, *, now: datetime) -> JobView:
    """The job that `text` means, as it stands at `now`.

    Raises:
        JobRefusedError: no such job, or several.
    """
    job = find_job(store, text)
    lease = read_lease(store, job)
    driver = "" if lease is None or lease.state.released else str(lease.state.owner)
    seen = view(read_job(store, job), read_status(store, job), now=now, settings=settings_there(store, job))
    return replace(seen, driver=driver)


def view(job: Job, status: Status | None, *, now: datetime, settings: Settings | None = None) -> JobView:
    """Put together what is known, and notice a driver that went silent."""
    silent = None
    if status is not None and status.state in {JobState.RUNNING, JobState.RECOVERING, JobState.PENDING}:
        spoke = datetime.fromisoformat(status.updated_at).astimezone(UTC)
        silent = spoke if (now - spoke).total_seconds() > SILENT_SECONDS else None
    return JobView(job=job, status=status, silent_since=silent, settings=settings)


def view_to_json(seen: JobView) -> dict[str, Any]:
    """The view as plain JSON values; money as text."""
    status = seen.status
    known: dict[str, Any] = {} if status is None else asdict(status)
    head = {
        "job": seen.job.id,
        "name": seen.job.name,
        "state": seen.state.value,
        "manifest": seen.job.manifest,
        "models": [model.name for model in seen.job.models],
        "owner": seen.settings.owner if seen.settings else "",
        "tags": dict(seen.settings.tags) if seen.settings else {},
        "retention_seconds": seen.settings.retention_seconds if seen.settings else None,
        "submitted_at": seen.job.submitted_at.isoformat(),
        "driver": seen.driver,
        "silent_since": seen.silent_since.isoformat() if seen.silent_since else None,
        "total": seen.job.images if status is None else status.total,
        "rendered": 0,
        "reused": 0,
        "failed": 0,
        "usd": str(status.usd if status else Decimal(0)),
    }
    return (
        head
        | {key: value for key, value in known.items() if key not in {"job", "state", "usd", "message"}}
        | {"message": seen.message}
    )
