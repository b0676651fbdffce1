"""Change the settings of a job from anywhere: nodes, budget, deadline, who is told; a running driver takes them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from jobs.driving import lease_of, who_asks
from jobs.jobfile.loading import Options, load
from jobs.nearest import did_you_mean
from jobs.terminal_text import duration
from jobs.watching.listing import find_job, read_job
from jobs.wiring import precision_problem, settings_of
from pipeline.clock import SystemClock
from pipeline.driving.control import ask, latest_settings, put_settings
from pipeline.errors import JobFileError
from pipeline.job import Job, Settings
from pipeline.ports import Store

_FIELDS = {
    "budget.usd": "budget_usd",
    "budget.usd_per_image": "usd_per_image",
    "budget.usd_per_month": "usd_per_month",
    "budget.hard_excess": "hard_excess",
    "deadline": "deadline",
    "on_rebalance": "on_rebalance",
    "store_outage_seconds": "outage_seconds",
    "notify": "notify",
    "owner": "owner",
    "retention": "retention_seconds",
    "deliver": "deliver",
}
"""Key of a job file -> field of the settings."""

KEYS = ("nodes", "workers", *_FIELDS)
"""What may change while a job lives; an empty value, or `null`, takes a limit away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The settings of a job after a change."""

    job: str
    number: int
    """Of the settings; goes up with each change."""
    settings: Settings
    driver: str
    """Who drives the job and takes them up within seconds; empty when nobody does."""
    message: str


def change(store: Store, text: str, assignments: Sequence[str], *, environ: Mapping[str, str]) -> Changed:
    """Write new settings of a job; what is not named stays as it is.

    Args:
        store: where it lies.
        text: which job.
        assignments: such as `budget.usd=30` or `nodes=[{type: g6.xlarge, market: spot, max: 4}]`, as in a job file.
        environ: for the price of this machine.

    Raises:
        JobRefusedError: no such job.
        JobFileError: an assignment that makes no sense; nothing was written.
    """
    job = read_job(store, find_job(store, text))
    before_number, before = latest_settings(store, job.id)
    after = _changed(job, store, before, assignments, environ)
    number = put_settings(store, job.id, after)
    ask(store, job.id, by=who_asks(), at=datetime.now(UTC).isoformat(), settings=number)
    seen, free = lease_of(store, job.id, clock=SystemClock()).look()
    driver = "" if seen is None or free else str(seen.state.owner)
    message = "its driver takes them up within seconds" if driver else "they hold from its next driver on"
    if number == before_number:
        message = "they were so already"
    return Changed(job=job.id, number=number, settings=after, driver=driver, message=message)


def _changed(
    job: Job, store: Store, before: Settings, assignments: Sequence[str], environ: Mapping[str, str]
) -> Settings:
    """The settings with these assignments, read as a job file's keys are. Raises: JobFileError."""
    keys = [text.partition("=")[0].strip() for text in assignments]
    for key in keys:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS) or f"; what may change is {', '.join(KEYS)}"
            raise JobFileError(f'"{key}" is frozen, or no key of a job{hint}')
    options = Options(
        model=job.models[0].name, store=store.uri, name=job.name, assignments=tuple(_emptied(assignments))
    )
    given = settings_of(load(job.manifest, options), environ)
    after = before
    if "nodes" in keys or "workers" in keys:
        after = replace(after, nodes=given.nodes)
        if problem := precision_problem(job.models[0].precision, given.nodes):
            raise JobFileError(f"nodes: {problem}")
    simple = {_FIELDS[key]: getattr(given, _FIELDS[key]) for key in keys if key in _FIELDS}
    return replace(after, **simple)


def _emptied(assignments: Sequence[str]) -> list[str]:
    """The assignments, an empty value written as none."""
    return [f"{text}null" if text.rstrip().endswith("=") else text for text in assignments]


def _receiver(values: Mapping[str, Any]) -> str:
    """Somebody who is told, for a person."""
    return f"{values.get('notifier')} {values.get('url') or values.get('url_env')} ({', '.join(values.get('on', ()))})"


def describe(settings: Settings) -> list[tuple[str, str]]:
    """The settings as lines for a person."""
    nodes = (
        f"{offer.max} x {offer.type} {offer.market} (${offer.usd_per_hour:f}/h"
        f"{', only for the deadline' if settings.is_reserve(offer) else ''})"
        for offer in settings.nodes
    )
    budget, each = settings.budget_usd, settings.usd_per_image
    return [
        ("nodes", ", ".join(nodes)),
        ("budget", "none" if budget is None else f"${budget:f}"),
        ("per month", "no limit" if settings.usd_per_month is None else f"at most ${settings.usd_per_month:f}"),
        ("per image", "no limit" if each is None else f"at most ${each:f}"),
        ("deadline", "none" if settings.deadline is None else settings.deadline.isoformat()),
        ("rebalance", settings.on_rebalance),
        ("store outage", f"at most {settings.outage_seconds:g} s"),
        ("notify", ", ".join(map(_receiver, settings.notify)) or "nobody"),
        ("owner", settings.owner or "nobody"),
        ("tags", ", ".join(f"{name}={text}" for name, text in sorted(settings.tags.items())) or "none"),
        ("retention", "not said" if settings.retention_seconds is None else duration(settings.retention_seconds)),
        ("deliver", "nowhere" if settings.deliver is None else str(settings.deliver.get("to"))),
    ]
