"""What a user writes to have renders come by the clock: the nightly file and its keys."""

import os
import re
from datetime import UTC, datetime, time
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ValidationError, field_validator, model_validator

from jobs.jobfile.jobfile import MAX_NAME, NAME, Budget, JobFile, slug
from jobs.jobfile.loading import Options, PerRun, load, located, problem_lines
from jobs.jobfile.notify import NotifyEntry
from jobs.jobfile.values import Count, FilledText, Retention, UsdLimit, choice, shown
from jobs.jobfile.yaml_document import Place, read_document
from jobs.nightly.schedule import Schedule, cron_problem, zone_of
from jobs.written import Written
from pipeline.errors import JobFileError

_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_MOST_CAUGHT_UP = 100

Concurrency = Annotated[str, BeforeValidator(choice("forbid", "queue", "replace"))]


class CatchUp(Written):
    """What becomes of runs that nobody started in time."""

    mode: str
    """`none`: they are left out; `last`: the newest is made up for; `all`: each of them, the oldest first."""
    limit: int = 10
    """Of `all`: only the newest so many."""


def _catch_up(value: Any) -> Any:
    """`none`, `last`, `all`, or `{all: 20}`."""
    if value in ("none", "last", "all"):
        return {"mode": value}
    if isinstance(value, dict) and set(value) == {"all"}:
        limit = value["all"]
        if isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= _MOST_CAUGHT_UP:
            return {"mode": "all", "limit": limit}
        raise ValueError(f"all must be a whole number from 1 to {_MOST_CAUGHT_UP}, got {shown(limit)}")
    raise ValueError(f"must be none, last, all or {{all: 20}}, got {shown(value)}")


def _wall_time(value: Any) -> time:
    """`07:00`, by the clocks of the entry's time zone."""
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'must be a time such as "07:00", got {shown(value)}')
    return time(int(found[1]), int(found[2]))


class EntryBudget(Budget):
    """Of each run, and of all runs of the entry in a month."""

    usd_per_month: UsdLimit | None = None
    """When the runs that began in this month (UTC) have cost so much, no other is started in it."""


class Entry(Written):
    """One render that comes again."""

    name: FilledText
    """Lower-case letters, digits and single hyphens. The state is kept under it: it is of the store, not the file."""
    cron: FilledText
    timezone: FilledText = "UTC"
    job: FilledText
    """Path of a job file; in its name and paths `{date}` and `{time}` stand for those of the run."""
    concurrency: Concurrency = "forbid"
    """When the run before still goes on: leave this one out, let it wait, or cancel the other."""
    catch_up: Annotated[CatchUp, BeforeValidator(_catch_up)] = CatchUp(mode="last")
    missed_after_minutes: Count = 60
    """A run that could begin only later than this counts as missed: `catch_up: none` leaves it out."""
    deadline: Annotated[time, BeforeValidator(_wall_time)] | None = None
    """The next such time after the run was due."""
    budget: EntryBudget = EntryBudget()
    """Of each run, and goes before the job file's; and of a month."""
    notify: tuple[NotifyEntry, ...] | None = None
    """Who is told what happens to each run; goes before the job file's."""
    retention: Retention | None = None
    """How long `gc` keeps the images of a run; goes before the job file's."""
    only_new: bool = False
    """Render only rows of which some image was made by no job yet."""
    address: FilledText | None = None
    """A Ray cluster; with `http://` its dashboard, and the cluster drives the job."""

    @field_validator("name")
    @classmethod
    def _name_is_a_slug(cls, name: str) -> str:
        if len(name) > MAX_NAME or not NAME.fullmatch(name):
            raise ValueError(
                f'must be lower-case letters, digits and single hyphens, got {shown(name)}; try "{slug(name)}"'
            )
        return name

    @field_validator("cron")
    @classmethod
    def _cron_comes(cls, cron: str) -> str:
        if problem := cron_problem(cron):
            raise ValueError(problem)
        return cron

    @field_validator("timezone")
    @classmethod
    def _zone_is_there(cls, name: str) -> str:
        return zone_of(name).key

    @property
    def schedule(self) -> Schedule:
        """When it is due."""
        return Schedule(cron=self.cron, zone=zone_of(self.timezone))


class NightlyFile(Written):
    """All entries of one file; paths are absolute once it is loaded."""

    store: FilledText
    """Where the schedule's state is kept, and the store of jobs that name none."""
    nightly: tuple[Entry, ...]

    @model_validator(mode="after")
    def _names_are_their_own(self) -> Self:
        names = [entry.name for entry in self.nightly]
        if not names:
            raise ValueError("nightly: holds no entry; write at least one")
        for place, name in enumerate(names):
            if name in names[:place]:
                raise ValueError(f"nightly[{place}].name: {shown(name)} is there twice; every entry needs its own")
        return self

    def entry(self, name: str) -> Entry:
        """The entry of this name. Raises: JobFileError: there is none."""
        for entry in self.nightly:
            if entry.name == name:
                return entry
        raise JobFileError(f"there is no entry {shown(name)}; there are {', '.join(one.name for one in self.nightly)}")


def load_nightly(location: str, *, store: str | None = None, fallback_store: str | None = None) -> NightlyFile:
    """Read a nightly file.

    Args:
        location: its path.
        store: overrides the file's.
        fallback_store: where neither says one (from the environment).

    Raises:
        JobFileError: all problems, one per line, each with its line.
    """
    path = Path(location).expanduser()
    try:
        body = path.read_bytes()
    except OSError as error:
        raise JobFileError(f"{location}: cannot be read: {error.strerror}; is the path right?") from error
    document = read_document(body, name=location)
    if not isinstance(document.values, dict):
        raise JobFileError(f"{location}:1: must be a mapping such as `nightly: [...]`")
    base, values = path.resolve().parent, dict(document.values)
    if store is not None or ("store" not in values and fallback_store):
        values["store"] = _absolute(store or fallback_store, Path.cwd())
    elif "store" in values:
        values["store"] = _absolute(values["store"], base)
    if isinstance(values.get("nightly"), list):
        values["nightly"] = [
            one | {"job": _absolute(one["job"], base)} if isinstance(one, dict) and "job" in one else one
            for one in values["nightly"]
        ]

    try:
        return NightlyFile.model_validate(values)
    except ValidationError as error:
        raise JobFileError("\n".join(problem_lines(error, NightlyFile, partial(located, document)))) from None


def _absolute(text: Any, base: Path) -> Any:
    """A path made absolute; URIs, and what is no text, as they are."""
    if not isinstance(text, str) or "://" in text or text.startswith("memory:") or not text.strip():
        return text
    return os.path.normpath(base / Path(text).expanduser())


def job_of(file: NightlyFile, entry: Entry, instant: datetime) -> JobFile:
    """The job of one run.

    Args:
        file: says the store where the job file does not.
        entry: which one.
        instant: when it was due, UTC.

    Raises:
        JobFileError: all problems of the job file.
    """
    local = instant.astimezone(entry.schedule.zone)
    overrides: list[tuple[Place, Any]] = []
    if entry.budget.usd is not None:
        overrides.append((("budget", "usd"), entry.budget.usd))
    if entry.budget.usd_per_image is not None:
        overrides.append((("budget", "usd_per_image"), entry.budget.usd_per_image))
    if entry.deadline is not None:
        overrides.append((("deadline",), entry.schedule.next_time(instant, entry.deadline).isoformat()))
    if entry.retention is not None:
        overrides.append((("retention",), f"{entry.retention:.0f}s"))
    if entry.notify is not None:
        overrides.append((("notify",), [one.model_dump(exclude_none=True) for one in entry.notify]))
    run = PerRun(date=local.date(), time=local.time(), seed=seed_of(instant))
    return load(entry.job, Options(overrides=tuple(overrides), run=run), fallback_store=file.store)


def seed_of(instant: datetime) -> int:
    """What `seed: per_run` stands for: runs ten minutes apart have 10,000 seeds of their own."""
    return int(instant.astimezone(UTC).timestamp()) // 60 * 1000 % 2**31
