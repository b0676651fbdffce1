"""Progress of a job as its driver tells it: one small object in the store, readable from anywhere."""

import json
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from pipeline.job import JobState
from pipeline.layout import job_folder, status_key
from pipeline.ledger.type_figures import TypeFigures, figures_from_values
from pipeline.ports import Store
from pipeline.pricing.storage_cost import StorageCost, storage_from_values

STATUS_SCHEMA = 1
"""Version of the JSON form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a driver last said; counts are of the whole job, over all of its drivers."""

    job: str
    state: JobState
    phase: str
    """What is going on, for a person: `loading model shapes`, `rendering`, `finished`."""
    total: int
    """Images to be, each counted once however many rows ask for it."""
    rendered: int
    """Made by this job."""
    reused: int
    """Made by an earlier job under this store."""
    failed: int
    """Given up."""
    rendered_now: int
    """Made since the present driver started."""
    images_per_second: float
    """Of the present driver, over the last minute."""
    eta_seconds: float | None
    usd: Decimal
    """Accrued so far, over all drivers."""
    workers_ready: int
    workers_starting: int
    workers_lost: int
    """Since the present driver started."""
    seconds: float
    """Wall time of all drivers so far."""
    message: str
    """Why the job stands where it stands, and what to do about it; may be empty."""
    started_at: str
    """When the present driver started, ISO 8601, UTC."""
    updated_at: str
    fence: int
    """Number of the driver that tells this."""
    on_time: bool | None = None
    """Whether the deadline will be met with the nodes that there are; None: there is none, or nothing was measured."""
    types: tuple[TypeFigures, ...] = ()
    """What images cost on each type of node so far, dearest first."""
    month_usd: Decimal | None = None
    """Of all jobs of this name that were submitted this month; None where `budget.usd_per_month` is no limit."""
    outlook: str = ""
    """What stands against the deadline, and what would make it."""
    remarks: tuple[str, ...] = ()
    """What workers of the present driver decided by themselves, such as not to compile; the first of many."""
    retries: dict[str, int] = field(default_factory=dict)
    """By cause: how many attempts of the present driver came back with images that were tried again or given up."""
    storage: StorageCost = field(default_factory=StorageCost)
    """What the store was asked and costs, over all drivers; beside `usd`, which is of nodes alone."""
    overhead_usd: Decimal = Decimal(0)
    """What no node session holds, over all drivers; beside `usd` as well."""
    collected: int = 0
    """Images whose files clean-up removed since the job ended; the next driver renders them again."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to render: all was tried, and no file was removed since."""
        return self.state in {JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES} and not self.collected


def status_to_json(status: Status) -> bytes:
    """The status as JSON; money as a string."""
    return json.dumps({"schema": STATUS_SCHEMA} | asdict(status), default=str, indent=1).encode()


def status_from_json(body: bytes) -> Status:
    """Read a status. Raises: ValueError: of another schema version."""
    values: dict[str, Any] = json.loads(body)
    if values.pop("schema", None) != STATUS_SCHEMA:
        raise ValueError(f"this version reads status schema {STATUS_SCHEMA}")
    money = {name: Decimal(values.get(name, "0")) for name in ("usd", "overhead_usd")}
    if values.get("month_usd") is not None:
        money["month_usd"] = Decimal(values["month_usd"])
    types = {"types": tuple(figures_from_values(one) for one in values.get("types", ()))}
    storage = {"storage": storage_from_values(values.get("storage", {}))}
    known = {"state": JobState(values["state"]), "remarks": tuple(values.get("remarks", ()))}
    return Status(**(values | known | money | storage | types))


def latest_fence(store: Store, job: str) -> int:
    """The highest fence that a driver of this job has taken; 0 when none has."""
    keys = [info.key for info in store.list(f"{job_folder(job)}status/")]
    return max((int(key.rpartition("/")[2].removesuffix(".json")) for key in keys), default=0)


def read_status(store: Store, job: str) -> Status | None:
    """What the latest driver of a job said last; None before the first one."""
    fence = latest_fence(store, job)
    return status_from_json(store.get(status_key(job, fence))) if fence else None


def starting_status(job: str, *, total: int, earlier: Status | None, now: str, fence: int) -> Status:
    """What a driver says before it has looked at anything: the counts are those of the drivers before it.

    Args:
        job: job id.
        total: images to be.
        earlier: what the last driver said, if there was one.
        now: ISO 8601, UTC.
        fence: number of this driver.
    """
    return Status(
        job=job,
        state=JobState.PENDING,
        phase="reading what is there",
        total=total,
        rendered=earlier.rendered if earlier else 0,
        reused=earlier.reused if earlier else 0,
        failed=earlier.failed if earlier else 0,
        rendered_now=0,
        images_per_second=0.0,
        eta_seconds=None,
        usd=earlier.usd if earlier else Decimal(0),
        storage=earlier.storage if earlier else StorageCost(),
        overhead_usd=earlier.overhead_usd if earlier else Decimal(0),
        collected=earlier.collected if earlier else 0,
        workers_ready=0,
        workers_starting=0,
        workers_lost=0,
        seconds=earlier.seconds if earlier else 0.0,
        message="",
        started_at=now,
        updated_at=now,
        fence=fence,
    )
