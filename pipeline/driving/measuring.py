"""Makes metrics of what a driver hears and knows anyway: workers need do nothing, and one that dies loses no count."""

import logging
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from pipeline.driving.standing import Standing
from pipeline.events import (
    AttemptEnded,
    BatchCommitted,
    Heartbeat,
    NoticeSeen,
    WorkerEvent,
    WorkerLost,
    WorkerReady,
    WorkerStarting,
)
from pipeline.job import JobState
from pipeline.ledger.type_accounts import TypeAccount
from pipeline.record import Node, Outcome, Record
from pipeline.status import Status
from pipeline.store_use import FACT, AddedUse, use_from_text, use_of

_LOG = logging.getLogger(__name__)

_NONE: Final = TypeAccount()

_DRIVER: Final = ""
"""The driver's own name among those who use the store; no worker has it."""


class Measuring:
    """The metrics of one driver. Nothing that goes wrong here reaches the job: it is said once, and then left.

    Args:
        standing: the job.
        now_ns: when the driver began.
        before: node sessions of the drivers before it.
    """

    def __init__(
        self, standing: Standing, *, now_ns: int, before: Mapping[tuple[str, str], TypeAccount] = MappingProxyType({})
    ) -> None:
        self._metrics, self._store, self._job = standing.metrics, standing.store, standing.job.id
        self._progress, self._before = standing.progress, before
        self._use = AddedUse()
        self._starting: dict[str, int] = {}
        self._committed_ns = now_ns
        self._workers: set[tuple[str, str, str]] = set()
        self._broken = False

    def hear(self, event: WorkerEvent, node: Node | None) -> None:
        """One event.

        Args:
            event: of a worker.
            node: where it stands, if that is known.
        """
        if self._broken:
            return
        try:
            self._hear(event, event.node if isinstance(event, WorkerStarting) else node)
        except Exception as error:  # noqa: BLE001 - figures for whoever watches are no reason to stop a job
            self._break(error)

    def look(
        self,
        status: Status,
        *,
        now_ns: int,
        by_type: Mapping[tuple[str, str], TypeAccount],
        workers: Counter[tuple[str, str, str]],
        queued: int,
        budget_usd: Decimal | None,
    ) -> None:
        """How things stand.

        Args:
            status: of the job.
            now_ns: the instant.
            by_type: its node sessions, by node type and market.
            workers: how many, by state, node type and market.
            queued: pieces of tasks that wait.
            budget_usd: None: there is none.
        """
        if self._broken:
            return
        try:
            self._look_at_job(status, now_ns=now_ns, queued=queued, budget_usd=budget_usd)
            self._look_at_nodes(by_type, workers)
            self._look_at_store()
        except Exception as error:  # noqa: BLE001 - as above
            self._break(error)

    def _break(self, error: Exception) -> None:
        self._broken = True
        _LOG.warning("no more metrics: %s: %s", type(error).__name__, error)

    def _hear(self, event: WorkerEvent, node: Node | None) -> None:
        job, where = self._job, _where(node)
        match event:
            case Heartbeat():
                if FACT in event.facts:
                    self._use.told(event.worker, use_from_text(event.facts[FACT]))
            case BatchCommitted():
                self._committed(event.record)
            case WorkerStarting():
                self._starting[event.worker] = event.at_ns
            case WorkerReady():
                since_ns = self._starting.pop(event.worker, None)
                if since_ns is not None:
                    self._metrics.observe("startup_seconds", (event.at_ns - since_ns) / 1e9, job=job, **where)
            case AttemptEnded():
                self._metrics.add("attempts_total", job=job, cause=event.cause)
            case NoticeSeen():
                self._metrics.add("notices_total", 1, job=job, kind=event.kind, **where)
            case WorkerLost():
                self._starting.pop(event.worker, None)
                self._metrics.add("workers_lost_total", job=job, cause=event.cause)

    def _committed(self, record: Record) -> None:
        metrics, job, where = self._metrics, self._job, _where(record.node)
        self._committed_ns = max(self._committed_ns, record.ended_ns)
        seconds = record.gpu_nanoseconds / 1e9
        made = sum(image.outcome is Outcome.RENDERED for image in record.images)
        metrics.add("device_images_total", made, job=job, **where)
        metrics.add("image_bytes_total", sum(image.bytes for image in record.images), job=job)
        metrics.add("gpu_seconds_total", seconds, job=job, **where)
        metrics.observe("batch_seconds", seconds, job=job, **where)
        for stage, nanoseconds in record.stages_ns.items():
            metrics.observe("stage_seconds", nanoseconds / 1e9, job=job, stage=stage)
        if record.memory_bytes:
            metrics.set("gpu_memory_peak_bytes", record.memory_bytes, job=job, **where)
        use = record.gpu_use
        if use is not None and use.busy is not None:
            metrics.add("gpu_busy_seconds_total", use.busy * seconds, job=job, **where)
        if use is not None and use.watts is not None:
            metrics.add("gpu_energy_joules_total", use.watts * seconds, job=job, **where)

    def _look_at_job(self, status: Status, *, now_ns: int, queued: int, budget_usd: Decimal | None) -> None:
        metrics, job = self._metrics, self._job
        done = {"rendered": status.rendered, "reused": status.reused, "failed": status.failed}
        before = self._progress.counts_before
        for code, (outcome, images) in enumerate(done.items(), start=1):
            metrics.total("images_total", images - before[code], job=job, outcome=outcome)
            metrics.set("images_done", images, job=job, outcome=outcome)
        metrics.set("images_missing", status.total - sum(done.values()), job=job)
        metrics.set("last_commit_timestamp_seconds", self._committed_ns / 1e9, job=job)
        metrics.set("driver_heartbeat_timestamp_seconds", now_ns / 1e9, job=job)
        for state in JobState:
            metrics.set("job_state", float(state is status.state), job=job, state=state.value)
        metrics.set("queue_tasks", queued, job=job)
        metrics.set("overhead_usd", float(status.overhead_usd), job=job)
        for cause, count in status.retries.items():
            metrics.total("retries_total", count, job=job, cause=cause)
        if budget_usd is not None:
            metrics.set("budget_usd", float(budget_usd), job=job)
            metrics.set("budget_left_usd", float(budget_usd - status.usd), job=job)

    def _look_at_nodes(
        self, by_type: Mapping[tuple[str, str], TypeAccount], workers: Counter[tuple[str, str, str]]
    ) -> None:
        metrics, job = self._metrics, self._job
        for (node_type, market), account in by_type.items():
            where = {"job": job, "node_type": node_type, "market": market}
            metrics.set("nodes", account.nodes, **where)
            metrics.set("spend_usd", float(account.usd), **where)
            metrics.set("spend_usd_per_hour", float(account.usd_per_hour), **where)
            before = self._before.get((node_type, market), _NONE)
            metrics.total("preemptions_total", account.reclaimed - before.reclaimed, **where)
            metrics.total("nodes_lost_total", account.lost - before.lost, **where)
        self._workers |= set(workers)
        for key in self._workers:
            state, node_type, market = key
            metrics.set("workers", workers[key], job=job, state=state, node_type=node_type, market=market)

    def _look_at_store(self) -> None:
        self._use.told(_DRIVER, use_of(self._store))
        for operation, used in self._use.total().items():
            labels = {"job": self._job, "operation": operation}
            self._metrics.total("store_requests_total", used.requests, **labels)
            self._metrics.total("store_errors_total", used.errors, **labels)
            self._metrics.total("store_request_seconds_total", used.nanoseconds / 1e9, **labels)


def _where(node: Node | None) -> dict[str, str]:
    """The labels of a node; empty ones of what nobody knows."""
    return {"node_type": node.node_type if node else "", "market": node.market if node else ""}
