"""The nodes ledger: a row for each node session, whose seven categories add up to GPUs x lifetime and to its price."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from pipeline.job import Job
from pipeline.layout import ledger_nodes_key
from pipeline.ledger.books import STARTUPS, Category, NodeSession, Span
from pipeline.ledger.buckets import instant
from pipeline.ledger.schema import CATEGORIES, NODES, STARTUP_PARTS, ledger_file
from pipeline.ports import Store
from pipeline.pricing.money import usd
from pipeline.pricing.tariff import PriceStep

_NS_PER_HOUR = 3_600_000_000_000

Spent = Mapping[tuple[str, str], Span]
"""(node session, outcome) -> time and cost of the images ledger's rows."""


def write_nodes_ledger(
    store: Store,
    job: Job,
    sessions: Iterable[NodeSession],
    spent: Spent,
    *,
    now_ns: int,
    billed: Mapping[str, int] = MappingProxyType({}),
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> pa.Table:
    """Write the job's only bucket of node sessions; gives what was written.

    A session that runs is counted up to its last heartbeat, so that one whose driver died stops there.

    Args:
        store: where to.
        job: whose.
        sessions: all of it.
        spent: what the images ledger says was spent in them.
        now_ns: the present instant.
        billed: nano-dollars that the provider bills, by session; one that is not there is billed as accrued.
        beside: what is paid beside the sessions, as plain JSON values; kept in the file's metadata, so that the rows
            stay node sessions alone.
    """
    rows = [
        _row(session, spent, billed.get(session.node.node_session), min(now_ns, session.heartbeat_ns))
        for session in sorted(sessions, key=lambda one: (one.started_ns, one.node.node_session))
    ]
    table = pa.Table.from_pylist(rows, schema=NODES)
    store.put(ledger_nodes_key(job.date, job.id, "000000"), ledger_file("nodes", table, **beside))
    return table


def categories(session: NodeSession, spent: Spent, *, now_ns: int) -> dict[str, Span]:
    """The seven categories of a session. What was committed is divided by what became of the images.

    Records of which the books never heard take their time out of what seemed lost, or else idle.
    """
    return _divided(session, spent, _owned(session, spent, now_ns), session.until_ns(now_ns))


def _owned(session: NodeSession, spent: Spent, now_ns: int) -> dict[Category, Span]:
    """What the books say, and where records say that there was more rendering, then that."""
    now_ns = session.until_ns(now_ns)
    owned = {category: session.total(category, now_ns) for category in Category}
    claimed = Span()
    for (other, _), span in spent.items():
        if other == session.node.node_session:
            claimed.add(span)
    for category in (Category.LOST_TO_FAILURE, Category.LOST_TO_PREEMPTION, Category.IDLE, *reversed(STARTUPS)):
        _move(owned[category], owned[Category.COMMITTED], claimed)
    return owned


def _divided(session: NodeSession, spent: Spent, owned: Mapping[Category, Span], now_ns: int) -> dict[str, Span]:
    """The seven categories."""
    name = session.node.node_session
    rendering = spent.get((name, "rendered"), Span())
    duplicate = spent.get((name, "duplicate"), Span())
    # A worker that was given up for lost and came back may have shared its GPU with the next one for a while: the same
    # time is then claimed twice, and it is the duplicate that yields.
    duplicate = Span(
        max(0, min(duplicate.nanoseconds, owned[Category.COMMITTED].nanoseconds - rendering.nanoseconds)),
        max(0, min(duplicate.nano_usd, owned[Category.COMMITTED].nano_usd - rendering.nano_usd)),
    )
    # Failed images, and those of voided records, which the images ledger no longer holds.
    given_up = Span()
    given_up.add(owned[Category.COMMITTED])
    given_up.take(rendering)
    given_up.take(duplicate)
    given_up = Span(max(0, given_up.nanoseconds), max(0, given_up.nano_usd))
    given_up.add(owned[Category.LOST_TO_FAILURE])
    startup = Span()
    for category in STARTUPS:
        startup.add(owned[category])
    amounts = {
        "rendering": rendering,
        "startup": startup,
        "lost_to_preemption": owned[Category.LOST_TO_PREEMPTION],
        "lost_to_failure": given_up,
        "duplicate": duplicate,
        "idle": owned[Category.IDLE],
    }
    unattributed = session.lifetime(now_ns)
    for span in amounts.values():
        unattributed.take(span)
    return amounts | {"unattributed": unattributed}


def _move(pool: Span, committed: Span, claimed: Span) -> None:
    """Give what is claimed beyond what is known to be committed, as far as the pool has it."""
    moved = Span(
        max(0, min(claimed.nanoseconds - committed.nanoseconds, pool.nanoseconds)),
        max(0, min(claimed.nano_usd - committed.nano_usd, pool.nano_usd)),
    )
    pool.take(moved)
    committed.add(moved)


def _row(session: NodeSession, spent: Spent, billed: int | None, now_ns: int) -> dict[str, object]:
    node, lifetime = session.node, session.lifetime(now_ns)
    owned = _owned(session, spent, now_ns)
    amounts = _divided(session, spent, owned, session.until_ns(now_ns))
    steps = session.tariff.between(session.started_ns, session.until_ns(now_ns))
    row: dict[str, object] = {
        "node_session": node.node_session,
        "node_id": node.node_id,
        "provider": node.provider,
        "node_type": node.node_type,
        "market": node.market,
        "gpu": node.gpu,
        "gpu_count": node.gpu_count,
        "region": node.region,
        "zone": node.zone,
        "started_at": instant(session.started_ns),
        "ended_at": None if session.ended_ns is None else instant(session.ended_ns),
        "terminated_by": session.terminated_by,
        "usd_per_hour": _mean_price(session, lifetime, steps),
        "price_source": "; then ".join(dict.fromkeys(step.source for step in steps)),
        "accrued_usd": usd(lifetime.nano_usd),
        "billable_usd": usd(lifetime.nano_usd if billed is None else billed),
        "lifetime_gpu_nanoseconds": lifetime.nanoseconds,
        "node_gpus": node.shares,
        "launched_at": instant(session.launched_ns),
        "prices": [{"since": instant(step.at_ns), "usd_per_hour": step.usd_per_hour} for step in steps],
        "heartbeat_at": instant(session.until_ns(now_ns)),
    }
    for category in CATEGORIES:
        row[f"{category}_seconds"] = amounts[category].nanoseconds / 1e9
        row[f"{category}_usd"] = usd(amounts[category].nano_usd)
        row[f"{category}_nanoseconds"] = amounts[category].nanoseconds
    return row | ({} if owned[Category.STARTUP].nanoseconds else _startup_parts(owned))


def _startup_parts(owned: Mapping[Category, Span]) -> dict[str, object]:
    """Start-up taken apart."""
    values: dict[str, object] = {}
    for part in STARTUP_PARTS:
        span = owned[Category(part)]
        values[f"{part}_seconds"] = span.nanoseconds / 1e9
        values[f"{part}_usd"] = usd(span.nano_usd)
        values[f"{part}_nanoseconds"] = span.nanoseconds
    return values


def _mean_price(session: NodeSession, lifetime: Span, steps: Sequence[PriceStep]) -> Decimal:
    """The price of the whole node per hour; where it changed, the mean over the session's time."""
    if len({step.usd_per_hour for step in steps}) == 1 or not lifetime.nanoseconds:
        return steps[0].usd_per_hour
    whole = lifetime.nano_usd * session.node.shares * _NS_PER_HOUR
    return usd(whole // lifetime.nanoseconds)
