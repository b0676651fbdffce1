"""When there is news of a job: found in the statuses that its driver gives. Pure."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pipeline.job import JobState, Settings
from pipeline.news import News, Occasion, news_of
from pipeline.status import Status

BUDGET_SHARE = Decimal("0.8")
"""Spent of `budget.usd` when it is told."""

STEADY_SECONDS = 60.0
"""A job is late when it was behind for so long, so that no slow first minute is an alarm."""


_FACTS = (
    "state",
    "phase",
    "message",
    "total",
    "rendered",
    "reused",
    "failed",
    "usd",
    "seconds",
    "images_per_second",
    "eta_seconds",
    "workers_ready",
    "workers_starting",
    "fence",
)
"""Of a status: what receivers may rely on."""


class NewsWatch:
    """Looks at each status of one driver, and says what is new; nothing is said twice.

    Args:
        tell: told each piece of news; must return at once and raise nothing.
    """

    def __init__(self, tell: Callable[[News], None]) -> None:
        self._tell = tell
        self._told: set[str] = set()
        self._failed_before: int | None = None
        self._behind_since: datetime | None = None

    def look(self, status: Status, settings: Settings) -> None:
        """See whether something is to be told.

        Args:
            status: the latest.
            settings: that hold now.
        """
        renders = not status.state.terminal and status.state is not JobState.PAUSED
        if renders and status.total > _done(status) and status.phase != "reading what is there":
            self._say(status, Occasion.STARTED, str(status.fence), "started", _begun(status))
            self._deadline(status, settings)
        self._failures(status)
        self._budget(status, settings)
        if status.state.terminal:
            self._end(status)

    def broke(self, job: str, reason: str, *, at: str, fence: int) -> None:
        """The driver ends in an error, with the job as it stands.

        Args:
            job: job id.
            reason: one line without secrets.
            at: ISO 8601, UTC.
            fence: number of the driver.
        """
        self._once(
            news_of(
                job,
                Occasion.FAILED,
                subject=f"error {fence}",
                at=at,
                title="its driver ended in an error",
                text=f"{reason}\nNothing is lost: submit again to go on.",
            )
        )

    def _end(self, status: Status) -> None:
        occasion = Occasion.FINISHED if status.state is JobState.SUCCEEDED else Occasion.FAILED
        lines = [_count(status), f"${status.usd:.2f} in {timedelta(seconds=round(status.seconds))}"]
        if status.message:
            lines.insert(0, status.message)
        self._say(status, occasion, f"{status.state} {status.fence}", status.state.value, "\n".join(lines))

    def _failures(self, status: Status) -> None:
        """What failed under earlier drivers was told by them, unless it was tried again since."""
        before = status.failed if self._failed_before is None else min(self._failed_before, status.failed)
        self._failed_before = before
        if status.failed > before:
            count = "1 image has failed" if status.failed == 1 else f"{status.failed:,} images have failed"
            text = f"{_count(status)}\n`spotrender status {status.job}` says more; the job goes on with the others."
            if status.state.terminal:
                text = _count(status)
            self._say(status, Occasion.FAILURES, "first", count, text)

    def _budget(self, status: Status, settings: Settings) -> None:
        month = settings.usd_per_month
        if month is not None and status.month_usd is not None and status.month_usd >= month * BUDGET_SHARE:
            title = f"{status.month_usd * 100 / month:.0f} % of the month's budget of ${month:f} is spent"
            text = f"${status.month_usd:.2f} for all jobs of this name. At ${month:f} the job stops, resumable."
            self._say(status, Occasion.BUDGET, f"{month:f} {status.updated_at[:7]}", title, text)
        budget = settings.budget_usd
        if budget is None or status.usd < budget * BUDGET_SHARE:
            return
        share = status.usd * 100 / budget
        title = f"{share:.0f} % of the budget of ${budget:f} is spent"
        text = f"${status.usd:.2f} for {_count(status)}\nAt ${budget:f} the job stops, resumable; `spotrender set"
        self._say(status, Occasion.BUDGET, f"{budget:f}", title, f"{text} {status.job} budget.usd=...` raises it.")

    def _deadline(self, status: Status, settings: Settings) -> None:
        deadline, now = settings.deadline, datetime.fromisoformat(status.updated_at)
        if deadline is None or deadline <= now:
            return  # a deadline that has passed stops the job, and that is told
        title = f"the deadline {deadline.isoformat(timespec='minutes')} is in danger"
        if status.on_time is not None:  # the driver knows what its nodes can do, and what may still come
            if not status.on_time:
                self._say(status, Occasion.DEADLINE, deadline.isoformat(), title, _in_danger(status))
            return
        started = datetime.fromisoformat(status.started_at)
        needed, rate = needed_rate(status, deadline, now), measured_rate(status, now)
        # Before the first image no rate is known; half of the time without one is a danger whatever comes.
        if not (rate < needed if rate else now - started >= deadline - now):
            self._behind_since = None
            return
        self._behind_since = self._behind_since or now
        steady = min(STEADY_SECONDS, (deadline - now).total_seconds() / 4)
        if rate == 0 or (now - self._behind_since).total_seconds() >= steady:
            text = _late(status, now, needed=needed, rate=rate)
            self._say(status, Occasion.DEADLINE, deadline.isoformat(), title, text)

    def _say(self, status: Status, occasion: Occasion, subject: str, title: str, text: str) -> None:
        self._once(
            news_of(
                status.job,
                occasion,
                subject=subject,
                at=status.updated_at,
                title=title,
                text=text,
                facts=_facts(status),
            )
        )

    def _once(self, news: News) -> None:
        if news.id not in self._told:
            self._told.add(news.id)
            self._tell(news)


def needed_rate(status: Status, deadline: datetime, now: datetime) -> float:
    """Images a second that make the deadline, which is still ahead."""
    return (status.total - _done(status)) / (deadline - now).total_seconds()


def measured_rate(status: Status, now: datetime) -> float:
    """Images a second of this driver: over the last minute, or over all of its time where that minute had none."""
    seconds = (now - datetime.fromisoformat(status.started_at)).total_seconds()
    return status.images_per_second or (status.rendered_now / seconds if seconds > 0 else 0.0)


def _in_danger(status: Status) -> str:
    """What the driver says of it, and what can be done."""
    return (
        f"{status.outlook[:1].upper()}{status.outlook[1:]}.\n{_count(status)}\n"
        f"More nodes or a later deadline: `spotrender set {status.job} nodes=... deadline=...`."
    )


def _late(status: Status, now: datetime, *, needed: float, rate: float) -> str:
    """What is needed, what is measured, and what would help."""
    left = f"{status.total - _done(status):,} images are left, which takes {needed:.3g} images/s"
    if rate == 0:
        return f"{left}; nothing was rendered yet. {status.message}".rstrip()
    lines = [f"{left}; measured: {rate:.3g} images/s."]
    try:
        ends = now + timedelta(seconds=(status.total - _done(status)) / rate)
        lines.append(f"At this pace it ends at {ends.isoformat(timespec='minutes')}.")
        if status.workers_ready and status.images_per_second:
            workers = math.ceil(status.workers_ready * needed / rate)
            lines.append(f"With {workers:,} workers like the {status.workers_ready:,} that are ready it would make it.")
    except OverflowError:
        lines.append("At this pace it never ends.")
    lines.append(f"More nodes or a later deadline: `spotrender set {status.job} nodes=... deadline=...`.")
    return "\n".join(lines)


def _done(status: Status) -> int:
    return status.rendered + status.reused + status.failed


def _begun(status: Status) -> str:
    """What is there and what is to come."""
    return f"{status.total - _done(status):,} of {status.total:,} images are to be rendered."


def _count(status: Status) -> str:
    """`900 of 1,000 images: 800 rendered, 100 reused, 20 failed`."""
    made = status.rendered + status.reused
    return (
        f"{made:,} of {status.total:,} images: {status.rendered:,} rendered, {status.reused:,} reused,"
        f" {status.failed:,} failed"
    )


def _facts(status: Status) -> dict[str, Any]:
    """The status as plain values."""
    values = {name: getattr(status, name) for name in _FACTS}
    return values | {"state": status.state.value, "usd": f"{status.usd:f}"}
