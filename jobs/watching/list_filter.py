"""Which jobs of a store somebody wants to see: by state, name, owner, label and day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase

from jobs.nearest import did_you_mean
from jobs.terminal_text import printable
from jobs.watching.status import JobView
from pipeline.errors import JobFileError
from pipeline.job import JobState

SILENT = "SILENT"
"""Stands for jobs that run, as far as their last status goes, and whose driver says nothing."""

_STATES = (*(state.value for state in JobState), SILENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """What a job must be like; what is empty leaves all of them in."""

    states: tuple[str, ...] = ()
    """One of these."""
    names: tuple[str, ...] = ()
    """Patterns, of which one fits."""
    owners: tuple[str, ...] = ()
    """The same."""
    tags: tuple[tuple[str, str], ...] = ()
    """Labels and patterns of what stands there; every one of them."""
    since: date | None = None
    """The day of the submit, UTC, or later."""

    def takes(self, seen: JobView) -> bool:
        """Whether this job is one."""
        labels = seen.settings.tags if seen.settings else {}
        owner = seen.settings.owner if seen.settings else ""
        state = SILENT if seen.silent_since else seen.state.value
        return (
            (not self.states or state in self.states)
            and _fits(seen.job.name, self.names)
            and _fits(owner, self.owners)
            and all(name in labels and fnmatchcase(labels[name], pattern) for name, pattern in self.tags)
            and (self.since is None or seen.job.submitted_at.astimezone(UTC).date() >= self.since)
        )


def list_filter(
    *,
    states: Sequence[str],
    names: Sequence[str],
    owners: Sequence[str],
    tags: Sequence[str],
    since: str | None,
    now: datetime,
) -> ListFilter:
    """What options say; a label without `=` may hold anything. Raises: JobFileError: one that makes no sense."""
    wanted = tuple(text.strip().upper() for text in states)
    for state in wanted:
        if state not in _STATES:
            hint = did_you_mean(state, _STATES) or f"; there are {', '.join(_STATES)}"
            raise JobFileError(f'--state: there is no state "{printable(state, most=40)}"{hint}')
    pairs = [text.partition("=") for text in tags]
    if any(not name.strip() for name, _, _ in pairs):
        raise JobFileError("--tag: must look like campaign=autumn, or campaign alone")
    return ListFilter(
        states=wanted,
        names=tuple(names),
        owners=tuple(owners),
        tags=tuple((name.strip(), text if equals else "*") for name, equals, text in pairs),
        since=_day(since, now) if since else None,
    )


def _day(text: str, now: datetime) -> date:
    from jobs.reporting.report import parse_since

    return parse_since(text, now=now)


def _fits(text: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
