"""What providers bill for a job's node sessions, with what other jobs of the store did on the same instances."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import NotFoundError
from pipeline.job import Job
from pipeline.ledger.books import NodeSession
from pipeline.ledger.buckets import instant, nanoseconds
from pipeline.ledger.sharing import Claim, shared_span
from pipeline.ports import Store
from pipeline.pricing.billing import BillingRule, Usage, bill
from pipeline.pricing.money import nano_usd

_ALONE = {"local", "in-process"}
"""Providers of machines that no other job of the store can be on at the same time."""

_CLOCKS_DIFFER = timedelta(minutes=10)

_COLUMNS = [
    "node_session",
    "node_id",
    "provider",
    "market",
    "gpu_count",
    "started_at",
    "ended_at",
    "terminated_by",
    "accrued_usd",
    "billable_usd",
    "lifetime_gpu_nanoseconds",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Elsewhere:
    """A session of another job."""

    provider: str
    node_id: str
    claim: Claim
    usage: Usage


class Bills:
    """Applies the providers' rules, instance by instance.

    Args:
        store: whose other jobs are looked at.
        job: whose sessions are billed.
        rules: by provider; a provider without one bills what was accrued.
    """

    def __init__(self, *, store: Store, job: Job, rules: Mapping[str, BillingRule]) -> None:
        self._store, self._job, self._rules = store, job, rules
        self._elsewhere: list[_Elsewhere] = []

    def look_around(self, sessions: Iterable[NodeSession], *, now_ns: int) -> None:
        """Find the sessions of other jobs on the same instances, and leave to them what they pay for.

        Raises: StoreUnavailableError.
        """
        shared = [session for session in sessions if session.node.provider not in _ALONE]
        self._elsewhere = list(self._read_others(shared)) if shared else []
        for session in shared:
            claims = [one.claim for one in self._elsewhere if _same(one, session)]
            session.shared = shared_span(session, claims, now_ns=now_ns)

    def of(self, sessions: Sequence[NodeSession], *, now_ns: int) -> dict[str, int]:
        """Nano-dollars billed, by node session."""
        instances: dict[tuple[str, str], list[NodeSession]] = {}
        for session in sessions:
            instances.setdefault((session.node.provider, session.node.node_id), []).append(session)
        billed: dict[str, int] = {}
        for (provider, _), own in instances.items():
            usages = [_usage(session, now_ns) for session in own]
            usages += [one.usage for one in self._elsewhere if _same(one, own[0])]
            billed |= bill(usages, self._rules.get(provider))
        return billed

    def _read_others(self, sessions: Sequence[NodeSession]) -> Iterator[_Elsewhere]:
        """Rows of other jobs' nodes ledgers; files last written before our instances were launched hold none."""
        since = instant(min(session.launched_ns for session in sessions)) - _CLOCKS_DIFFER
        nodes = pa.array(sorted({session.node.node_id for session in sessions}), pa.string())
        own = f"/job={self._job.id}/"
        for info in self._store.list("ledger/nodes/"):
            if info.modified_at < since or own in info.key:
                continue
            try:
                table = pq.read_table(io.BytesIO(self._store.get(info.key)), columns=_COLUMNS)
            except (NotFoundError, pa.ArrowInvalid, OSError):
                continue  # gone meanwhile, or no ledger file of ours: nothing that could be told of it
            for row in table.filter(pc.is_in(table["node_id"], value_set=nodes)).to_pylist():
                yield _row(row, info.modified_at)


def _same(one: _Elsewhere, session: NodeSession) -> bool:
    return (one.provider, one.node_id) == (session.node.provider, session.node.node_id)


def _usage(session: NodeSession, now_ns: int) -> Usage:
    """One of our own."""
    return Usage(
        session=session.node.node_session,
        launched_ns=session.launched_ns,
        started_ns=session.started_ns,
        ended_ns=session.until_ns(now_ns),
        accrued_nano=session.lifetime(now_ns).nano_usd,
        market=session.node.market,
        terminated_by=session.terminated_by,
        gpus=session.node.gpu_count,
        shares=session.node.shares,
        tariff=session.tariff,
    )


def _row(row: dict[str, Any], read_at: datetime) -> _Elsewhere:
    """One of another job, from its row of the nodes ledger."""
    started_ns = nanoseconds(row["started_at"])
    ended_ns = max(started_ns, nanoseconds(row["ended_at"] or read_at))
    gpus = -(-row["lifetime_gpu_nanoseconds"] // max(1, ended_ns - started_ns))
    return _Elsewhere(
        provider=row["provider"],
        node_id=row["node_id"],
        claim=Claim(started_ns=started_ns, ended_ns=ended_ns, gpus=min(gpus, row["gpu_count"])),
        usage=Usage(
            session=row["node_session"],
            launched_ns=started_ns,
            started_ns=started_ns,
            ended_ns=ended_ns,
            accrued_nano=nano_usd(row["accrued_usd"]),
            market=row["market"],
            terminated_by=row["terminated_by"],
            billed_nano=nano_usd(row["billable_usd"]),
        ),
    )
