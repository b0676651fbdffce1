"""What a driver writes beside the images: ledger buckets as they fill, and at the end the nodes, failures and index."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.clean_up.packs import with_packed
from pipeline.driving.reuse import extend_index
from pipeline.errors import StoreUnavailableError
from pipeline.job import Job
from pipeline.layout import failures_key, record_task
from pipeline.ledger.accounts import Accounts
from pipeline.ledger.buckets import made_with, read_records, record_infos, seal
from pipeline.ledger.checkpoint import FAILED, Checkpoint, add_up, is_kept, ledger_tables, see, spent_in
from pipeline.ledger.failures import failures_manifest
from pipeline.ledger.nodes import Spent, write_nodes_ledger
from pipeline.ledger.repricing import SessionPrices, stale
from pipeline.plan import Plan, task_number
from pipeline.ports import Clock, ObjectInfo, Store
from pipeline.pricing.bills import Bills
from pipeline.record import Outcome, Record
from pipeline.request_table import RequestTable

_LOG = logging.getLogger(__name__)
_BUCKETS_AT_A_TIME = 16


class Bookkeeping:
    """The ledger files of one job, kept by one driver.

    Args:
        job: whose.
        plan: its tasks.
        store: where to.
        checkpoint: what was there when the driver started.
        executor: runs reads in parallel.
        background: runs sealing one after the other, beside the driver's loop.
        clock: for sessions that still run.
        prices: what the time of each node session costs, as it is known now.
        bills: what providers bill for the node sessions; as accrued when not given.
        beside: what is paid beside them, such as for the store, as the nodes ledger keeps it.
    """

    def __init__(
        self,
        *,
        job: Job,
        plan: Plan,
        store: Store,
        checkpoint: Checkpoint,
        executor: Executor,
        background: Executor,
        clock: Clock,
        prices: Callable[[], SessionPrices] = lambda: MappingProxyType({}),
        bills: Bills | None = None,
        beside: Callable[[], Mapping[str, Any]] = lambda: MappingProxyType({}),
    ) -> None:
        self._job, self._plan, self._store, self._clock = job, plan, store, clock
        self._executor, self._background = executor, background
        self._prices, self._bills, self._beside = prices, bills, beside
        self._made_with = checkpoint.made_with
        self.made = checkpoint.made
        """Images rendered, by node session."""
        self._open = checkpoint.records
        self._spent = checkpoint.spent
        self._sealed = checkpoint.sealed
        self._counts = checkpoint.counts
        self._packed = checkpoint.packed
        self._last_seen_ns = checkpoint.last_seen_ns
        self._dirty: set[int] = set(self._open)
        self._sealing: dict[int, Future[pa.Table]] = {}

    def enter(self, record: Record, bucket: int) -> None:
        """A record is in the store."""
        if record.node is not None:
            self.made[record.node.node_session] += sum(one.outcome is Outcome.RENDERED for one in record.images)
        self._open.setdefault(bucket, {})[record.name] = record
        self._dirty.add(bucket)
        self._sealed.discard(bucket)

    def known(self, bucket: int, name: str) -> bool:
        """Whether this record was entered."""
        return name in self._open.get(bucket, ())

    def start_sealing(self, bucket: int) -> None:
        """Write a bucket whose tasks are done, in the background."""
        self._dirty.discard(bucket)
        self._sealing[bucket] = self._background.submit(self._write, bucket, done=True, prices=self._prices())

    def collect(self) -> None:
        """Take in the buckets that are sealed by now; those that failed are written again at the end."""
        for bucket, future in list(self._sealing.items()):
            if not future.done():
                continue
            del self._sealing[bucket]
            try:
                self._wrote(bucket, future.result())
            except StoreUnavailableError as error:
                _LOG.warning("ledger bucket %d is written later: %s", bucket, error)
                self._dirty.add(bucket)
            else:
                if bucket not in self._dirty:
                    self._sealed.add(bucket)
                    self._open.pop(bucket, None)

    def write_open(self, missing_of_bucket: Callable[[int], int]) -> None:
        """Write every bucket that changed and is not being sealed; sealed if nothing of it is missing."""
        for future in list(self._sealing.values()):
            future.exception()
        self.collect()
        for bucket in sorted(self._dirty):
            done = missing_of_bucket(bucket) == 0
            self._wrote(bucket, self._write(bucket, done=done, prices=self._prices()))
            self._dirty.discard(bucket)
            if done:
                self._sealed.add(bucket)
                self._open.pop(bucket, None)

    def take_late_records(self) -> None:
        """Write again the sealed buckets that gained a record since, as from a worker that was given up for lost.

        What counts is provisional until the job is terminal; this is called at its end. Takes one listing.
        """
        counts = Counter(self._plan.bucket_of(task_number(record_task(info.key))) for info in self._infos())
        for bucket in sorted(self._sealed):
            if counts[bucket] > self._counts[bucket]:
                self._dirty.add(bucket)

    def tell(self, accounts: Accounts) -> None:
        """Let the node sessions know until when nodes worked, by the records."""
        accounts.see(self._last_seen_ns)

    def write_repriced(self) -> None:
        """Write the sealed buckets again for which other prices became known since."""
        for future in list(self._sealing.values()):
            future.exception()
        self.collect()
        prices = self._prices()
        for bucket in sorted(self._sealed):
            made = self._made_with.get(bucket)
            if made is None or not stale(made.priced, prices):
                continue
            infos = list(record_infos(self._store, self._job, self._plan.tasks_of(bucket)))
            if len(infos) >= made.records or bucket in self._packed:
                self._wrote(bucket, self._write(bucket, done=True, prices=prices))

    def spent(self) -> Spent:
        """What all ledger rows cost, by node session and outcome."""
        return add_up(self._spent.values())

    def write_nodes(self, accounts: Accounts) -> pa.Table:
        """Write the nodes ledger; gives what was written."""
        self.tell(accounts)
        now_ns = self._clock.now_ns()
        sessions = list(accounts.sessions.values())
        billed = {} if self._bills is None else self._bills.of(sessions, now_ns=now_ns)
        return write_nodes_ledger(
            self._store, self._job, sessions, self.spent(), now_ns=now_ns, billed=billed, beside=self._beside()
        )

    def write_failures(self, table: RequestTable, state: NDArray[np.uint8]) -> None:
        """Write `failures.jsonl`, when there are any; a job without failures has no such file."""
        key = failures_key(self._job.id)
        places = np.flatnonzero(state == FAILED)
        if not len(places):
            self._store.delete(key)
            return
        causes: dict[str, tuple[str, str]] = {}
        for rows in self._tables(["image_id", "outcome", "cause", "message"]):
            for row in rows.to_pylist():
                if row["outcome"] == "failed":
                    causes[row["image_id"]] = (row["cause"], row["message"])
        failed = table.rows(sorted(self._plan.positions[places].tolist()))
        self._store.put(key, failures_manifest([row for row in failed if row.image_id in causes], causes))

    def write_index(self) -> int:
        """Let later jobs find the images of this one; gives the bytes of all that it rendered."""
        size = 0
        columns = ["image_id", "sha256", "bytes", "outcome", "cause"]
        pending: list[pa.Table] = []
        for table in self._tables(columns):
            pending.append(table.filter(pc.and_(pc.equal(table["outcome"], "rendered"), is_kept(table))))
            size += sum(pending[-1]["bytes"].to_pylist())
            if len(pending) == _BUCKETS_AT_A_TIME:
                extend_index(self._store, pending, self._job.output, self._executor)
                pending.clear()
        if pending:
            extend_index(self._store, pending, self._job.output, self._executor)
        return size

    def _tables(self, columns: list[str]) -> Iterator[pa.Table]:
        """Some columns of the whole ledger of this job, bucket by bucket."""
        for _, table, _ in ledger_tables(self._store, self._job, self._executor, columns):
            yield table

    def _wrote(self, bucket: int, table: pa.Table) -> None:
        """A bucket is in the store."""
        see(self._last_seen_ns, table)
        self._spent[bucket] = spent_in(table)
        self._made_with[bucket] = made_with(table)

    def _write(self, bucket: int, *, done: bool, prices: SessionPrices) -> pa.Table:
        """Write one bucket from all records that the store lists for it."""
        infos = list(record_infos(self._store, self._job, self._plan.tasks_of(bucket)))
        self._counts[bucket] = len(infos)
        listed = read_records(self._store, infos, self._executor, dict(self._open.get(bucket, {})))
        stored = with_packed(self._store, self._job, bucket, listed) if bucket in self._packed else listed
        return seal(self._store, self._job, bucket, stored, done=done, prices=prices)

    def _infos(self) -> Iterator[ObjectInfo]:
        """All records of the job."""
        return record_infos(self._store, self._job)
