"""A job as its driver has it in hand: what every part of the driver works with."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from pipeline.driving.drive_policy import DrivePolicy
from pipeline.driving.progress import Progress
from pipeline.job import Job
from pipeline.ledger.bookkeeping import Bookkeeping
from pipeline.metrics import NoMetrics
from pipeline.plan import Plan
from pipeline.ports import Clock, Metrics, Store
from pipeline.request_table import RequestTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One driver's job."""

    job: Job
    plan: Plan
    table: RequestTable
    """Its requests."""
    progress: Progress
    """What is there already."""
    books: Bookkeeping
    """The ledger files."""
    store: Store
    clock: Clock
    executor: Executor
    """For parallel reads."""
    policy: DrivePolicy
    new_attempt: Callable[[], str]
    """Gives ids that no other attempt of any driver has."""
    jitter: Callable[[], float]
    """Random numbers from 0 to 1."""
    metrics: Metrics = field(default_factory=NoMetrics)
    """For whoever watches."""

    def model_of(self, task: int) -> str:
        """Name of the model that renders a task."""
        return self.job.model_of(self.plan[task].variant).name
