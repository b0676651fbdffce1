"""What the other jobs of a name have cost this month, for `budget.usd_per_month`; kept up beside a driver's loop."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from jobs.watching.listing import job_ids, read_job
from pipeline.errors import JobRefusedError
from pipeline.job import Job, Settings
from pipeline.ports import Store
from pipeline.status import read_status


class MonthSpend:
    """Counts the jobs of one name, its pilots included, that were submitted in the present month (UTC).

    Args:
        store: where they lie.
        job: the one that is not counted.
        settings: of that job, as they are now; without a limit nothing is read.
        now: the present instant.
    """

    def __init__(
        self, store: Store, job: Job, *, settings: Callable[[], Settings], now: Callable[[], datetime]
    ) -> None:
        self._store, self._job, self._settings, self._now = store, job, settings, now
        self._names = re.compile(rf"{re.escape(job.name)}(-pilot-\d+)?-[0-9a-f]{{16}}")
        self._months: dict[str, str] = {}
        self.usd = Decimal(0)
        """Accrued, when it was looked last."""

    def look(self) -> None:
        """Read what they cost. Raises: StoreUnavailableError: the last figure stands."""
        if self._settings().usd_per_month is None:
            return
        total, month = Decimal(0), f"{self._now():%Y-%m}"
        for other in job_ids(self._store):
            if other != self._job.id and self._names.fullmatch(other) and self._month_of(other) == month:
                status = read_status(self._store, other)
                total += status.usd if status else Decimal(0)
        self.usd = total

    def _month_of(self, job: str) -> str:
        """When it was submitted; empty where nobody can tell."""
        if job not in self._months:
            try:
                self._months[job] = f"{read_job(self._store, job).submitted_at:%Y-%m}"
            except JobRefusedError:
                return ""  # a submit that died before the job was there, or one of another version
        return self._months[job]
