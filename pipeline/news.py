"""News of a job: what its driver tells people who do not look. `news_watch.py` says when there is some."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Occasion(StrEnum):
    """Why something is told; these words stand under `on:`."""

    STARTED = "started"
    """A driver began to render."""
    FINISHED = "finished"
    """SUCCEEDED."""
    FAILED = "failed"
    """STOPPED, COMPLETED_WITH_FAILURES or CANCELED; or the driver ended in an error."""
    BUDGET = "budget"
    """Most of `budget.usd` is spent."""
    DEADLINE = "deadline"
    """At the measured rate the deadline is missed."""
    FAILURES = "failures"
    """The first images failed."""
    DIGEST = "digest"
    """Once a day: what came of all nightly runs since the last time; told to those alone who ask for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing to tell."""

    id: str
    """Of the event, not of the delivery: the same however often, and by however many drivers, it is told."""
    occasion: Occasion
    job: str
    at: str
    """ISO 8601, UTC."""
    title: str
    """One line."""
    text: str
    """Some plain lines."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Where the job stood, as plain values, money as text; empty where there was no status."""


def news_of(
    job: str,
    occasion: Occasion,
    *,
    subject: str,
    at: str,
    title: str,
    text: str,
    facts: Mapping[str, Any] | None = None,
) -> News:
    """News, whose id follows from the job, the occasion and the subject: one budget, one driver, one deadline."""
    digest = hashlib.sha256(f"{job}\n{occasion.value}\n{subject}".encode()).hexdigest()
    return News(
        id=f"news_{digest[:32]}",
        occasion=occasion,
        job=job,
        at=at,
        title=f"{job}: {title}",
        text=text,
        facts=facts or {},
    )
