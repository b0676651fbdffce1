"""When an entry is due, by cron expression and time zone, as Debian's cron has it on the days that the clock changes.

A time that does not exist comes at the end of the gap; one that comes twice comes once, the first time; what comes
every hour or every few minutes follows real time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from jobs.jobfile.values import shown
from jobs.nearest import did_you_mean

_EXAMPLE = '"0 2 * * *" (minute, hour, day, month, day of the week)'
_ALIASES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@reboot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The instants of one entry."""

    cron: str
    zone: ZoneInfo

    def upcoming(self, after: datetime) -> Iterator[datetime]:
        """The instants after this one, in UTC; ends when none comes for 50 years."""
        return (one.astimezone(UTC) for one in CronSim(self.cron, after.astimezone(self.zone)))

    def latest(self, *, after: datetime, until: datetime, most: int) -> list[datetime]:
        """The instants in (after, until], in UTC, the oldest first; only the last `most` of them.

        Walks backwards, so a year in which nobody looked costs no more than an hour.
        """
        if until <= after:
            return []
        # The iterator gives what lies before its start, and sees whole seconds.
        start = until.replace(microsecond=0) + timedelta(seconds=1)
        backwards = CronSim(self.cron, start.astimezone(self.zone), reverse=True)
        instants = (one.astimezone(UTC) for one in backwards)
        return list(islice(takewhile(lambda one: one > after, instants), most))[::-1]

    def next_time(self, after: datetime, wall: time) -> datetime:
        """The first instant after this one at which clocks show `wall`, in UTC; in a gap, the end of it."""
        local = after.astimezone(self.zone)
        for days in range(3):
            day = local.date() + timedelta(days=days)
            found = datetime.combine(day, wall, tzinfo=self.zone).astimezone(UTC)
            if found > after:
                return found
        raise AssertionError(wall)


def cron_problem(text: str) -> str | None:
    """Why a cron expression makes no sense, or None."""
    if text.strip().lower() in _ALIASES:
        return f"must be five fields such as {_EXAMPLE}, got {shown(text)}"
    if len(text.split()) != 5:
        return f"must have five fields such as {_EXAMPLE}, got {len(text.split())}"
    try:
        first = next(CronSim(text, datetime(2024, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        return f"{shown(text)}: {str(error).lower()}; write five fields such as {_EXAMPLE}"
    return f"{shown(text)} never comes" if first is None else None


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name. Raises: ValueError: there is none, with the nearest."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones()) or " (install the tzdata package if there are none at all)"
        raise ValueError(f"must be a time zone such as Europe/Berlin, got {shown(name)}{hint}") from None


Now = Callable[[], datetime]
"""The wall clock: aware, and free to jump."""
