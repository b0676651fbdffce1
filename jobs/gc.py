"""Clean-up of a store: what may go and what it costs a month, and, when that was agreed to, its end."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from infra.process_identity import is_gone
from jobs.driving import lease_of
from jobs.durations import parse_duration
from jobs.jobfile.values import LEAST_RETENTION_SECONDS
from jobs.keeping import repeated
from jobs.prices.price_files import storage_rates
from jobs.undriven import undriven
from jobs.watching.listing import find_job
from pipeline.clean_up.finding import Found, find
from pipeline.clean_up.standing import Rules
from pipeline.clean_up.sweeping import Cleaned, Sweeper
from pipeline.clock import SystemClock
from pipeline.driving.lease_state import SeenLease
from pipeline.layout import SWEEPER, lease_key
from pipeline.ports import Clock, Store
from pipeline.pricing.storage_cost import StoreCalls, storage_cost
from pipeline.probe import probe_conditional

THREADS = 16
"""Calls of the store at the same time."""

_SILENT = timedelta(minutes=1)
"""A lease that was not renewed for so long is taken for expired where nobody may wait for a sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredJob:
    """A job that ended before its retention."""

    job: str
    images: int
    """Files that it names and no other job needs; several expired jobs may name the same."""
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Some objects."""

    objects: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """What may go, and what was removed of it."""

    store: str
    images: int
    """Files that expired jobs alone name."""
    orphans: int
    """Files that nobody names, as of attempts that were never committed."""
    bytes: int
    """Of both."""
    usd_per_month: Decimal
    """What those cost as long as they lie there."""
    source: str
    """Where the price comes from; empty where the store is free."""
    jobs: tuple[ExpiredJob, ...]
    leftovers: Mapping[str, Amount]
    """By kind: `records` of ended jobs, which are packed; `leases`, `fences`, `probes`, `compiled`, `weights`."""
    kept_jobs: Mapping[str, int]
    """How many jobs stand how."""
    removed: Cleaned | None
    """None where nobody agreed."""


def rules_of(store: Store, *, older_than: str | None, keep: Sequence[str]) -> Rules:
    """What options say. Raises: JobFileError or JobRefusedError: they make no sense."""
    seconds = (
        None
        if older_than is None
        else parse_duration(older_than, place="--older-than", least_seconds=LEAST_RETENTION_SECONDS)
    )
    return Rules(
        older_than=None if seconds is None else timedelta(seconds=seconds),
        keep=frozenset(find_job(store, text) for text in keep),
    )


def look_over(store: Store, rules: Rules, *, now: datetime | None = None) -> CleanUp:
    """What may go; nothing is written."""
    now = now or datetime.now(UTC)
    with ThreadPoolExecutor(THREADS) as executor:
        found = find(store, rules=rules, now=now, is_free=_by_age(store, now), executor=executor)
    return _clean_up(store, found, None)


def clean_up(
    store: Store,
    rules: Rules,
    *,
    clock: Clock | None = None,
    show: Callable[[CleanUp], None] = lambda _plan: None,
    say: Callable[[str], None] = lambda _text: None,
) -> CleanUp:
    """Remove what may go; it is shown first.

    Args:
        store: which one.
        rules: what to keep.
        clock: waits.
        show: told what may go, before anything is removed.
        say: told what is being done.

    Raises:
        JobRefusedError: another clean-up is at work, or it cannot be told what some job needs.
        LeaseLostError: this process was silent for too long; nothing is lost, it can be done again.
    """
    clock = clock or SystemClock()
    conditional = probe_conditional(store)
    with (
        undriven(store, SWEEPER, remedy="it is another clean-up: wait for its end", clock=clock, say=say) as lease,
        ThreadPoolExecutor(THREADS) as executor,
        repeated(lease=(lease.beat, 1.0)),
    ):
        sweeper = Sweeper(
            store,
            rules=rules,
            lease=lease,
            lease_of=lambda job: lease_of(store, job, clock=clock, conditional=conditional),
            clock=clock,
            executor=executor,
            say=say,
        )
        now = sweeper.now()
        found = find(store, rules=rules, now=now, is_free=_by_age(store, now), executor=executor)
        show(_clean_up(store, found, None))
        if not (found.expired or found.orphans or found.leftovers):
            return _clean_up(store, found, None)
        return _clean_up(store, found, sweeper.clean(found))


def _by_age(store: Store, now: datetime) -> Callable[[str, SeenLease], bool]:
    """Judges leases by their age alone: enough to say what may go, never to remove it."""

    def is_free(job: str, lease: SeenLease) -> bool:
        info = store.head(lease_key(job))
        return is_gone(lease.state.owner) or info is None or now - info.modified_at > _SILENT

    return is_free


def _clean_up(store: Store, found: Found, removed: Cleaned | None) -> CleanUp:
    """The result as it is told."""
    size = sum(found.expired.values()) + sum(found.orphans.values())
    cost = storage_cost(StoreCalls(), size, storage_rates(store.uri, os.environ))
    kinds = dict.fromkeys(left.kind for left in found.leftovers)
    return CleanUp(
        store=store.uri,
        images=len(found.expired),
        orphans=len(found.orphans),
        bytes=size,
        usd_per_month=cost.usd_per_month,
        source=cost.source,
        jobs=tuple(
            ExpiredJob(job=one.name, images=len(found.images_of[one.name]), ended_at=one.ended_at)
            for one in found.stands
            if one.ended_at is not None and len(found.images_of.get(one.name, ()))
        ),
        leftovers={
            kind: Amount(
                objects=sum(left.kind == kind for left in found.leftovers),
                bytes=sum(left.bytes for left in found.leftovers if left.kind == kind),
            )
            for kind in kinds
        },
        kept_jobs=dict(Counter(one.stand.value for one in found.stands)),
        removed=removed,
    )
