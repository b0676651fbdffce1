"""What jobs cost, by the ledger of a store; the jobs themselves need not be there any more."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from jobs.planning.card_market import card_market
from jobs.planning.expecting import planned_of
from jobs.prices.list_prices import listed_on_demand
from jobs.reporting.lines import short
from jobs.watching.listing import choose_job, job_ids
from jobs.wiring import open_store
from pipeline.errors import JobFileError
from pipeline.layout import is_job_id
from pipeline.ports import Store
from pipeline.reports.figures import Report
from pipeline.reports.ledger import Ledger, open_ledger
from pipeline.reports.making import make_report
from pipeline.reports.removed import removed_bytes

_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReport:
    """A report, and what it was made from while that is open: all that a format may ask for."""

    report: Report
    ledger: Ledger
    store: Store
    width: int = 80
    """Columns that a line may have."""
    terminal: bool = False
    """Whether the reader is a terminal, which obeys control characters."""
    colour: bool = False
    """Whether it shows colour."""


@contextmanager
def reported(
    store: Store,
    texts: Sequence[str] = (),
    *,
    since: date | None = None,
    by: str = "node_type",
    time_line: bool = False,
) -> Iterator[MadeReport]:
    """The report on some jobs, for as long as the block runs.

    Args:
        store: whose ledger.
        texts: which jobs, by id, name or the beginning of an id; none: all.
        since: only jobs submitted on this day or later.
        by: see `pipeline.reports.by.parse_by`.
        time_line: whether the report should hold sessions and spend over time.

    Raises:
        JobRefusedError: no such job, or several.
        JobFileError: nothing is grouped by this.
    """
    jobs = resolve_jobs(store, texts, since=since)
    with open_ledger(store, jobs=jobs, since=since) as ledger:
        report = make_report(
            ledger,
            by=by,
            since=since,
            list_price=listed_on_demand(store),
            time_line=time_line,
            market=card_market,
            removed=removed_bytes(ledger, store),
        )
        report = replace(report, planned=planned_of(store, report))
        yield MadeReport(report=report, ledger=ledger, store=store)


def short_report(store: str, job: str) -> list[tuple[str, str]]:
    """`label, value` lines of one job's report, for the end of a submit."""
    place = open_store(store)
    with open_ledger(place, jobs=(job,)) as ledger:
        return short(make_report(ledger, list_price=listed_on_demand(place), market=card_market))


def resolve_jobs(store: Store, texts: Sequence[str], *, since: date | None = None) -> tuple[str, ...]:
    """The ids of the jobs that a user means, each once.

    A name that several jobs share stands for the only one that was submitted since then, if there is one.

    Raises:
        JobRefusedError: no such job, or several.
    """
    if not texts:
        return ()
    lately = set(_ledger_jobs(store, since))
    known = sorted(lately | set(job_ids(store)) | (set(_ledger_jobs(store, None)) if since else set()))
    return tuple(
        dict.fromkeys(choose_job(text, known, preferred=lately if since else (), place=store.uri) for text in texts)
    )


def parse_since(text: str, *, now: datetime) -> date:
    """`7d`, `12h`, `2w` before now, or a day `2026-11-14`; the day in UTC. Raises: JobFileError: neither."""
    if found := re.fullmatch(r"(\d{1,5})([hdw])", text.strip()):
        return (now.astimezone(UTC) - timedelta(hours=int(found[1]) * _HOURS[found[2]])).date()
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise JobFileError(f'--since: must be such as 7d, 12h, 2w or 2026-11-14, got "{text}"') from None


def _ledger_jobs(store: Store, since: date | None) -> Iterator[str]:
    """Ids of the jobs that the ledger knows of, submitted on this day or later."""
    for root in ("ledger/nodes/", "ledger/images/"):
        for day in store.list_folders(root):
            if since is None or day >= f"date={since.isoformat()}":
                for folder in store.list_folders(f"{root}{day}"):
                    job = folder.removeprefix("job=").rstrip("/")
                    if is_job_id(job):
                        yield job
