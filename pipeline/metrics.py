"""What a running job lets others watch: the table of its metrics, by Prometheus' conventions.

They are for eyes and alarms. Money is a float here, as every metric is; the ledger is the truth. Counters count since
the driver began, gauges tell of the whole job. No label holds an image, a task, a worker or a node: a job has some
hundreds of series, however large it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]

SECONDS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper ends of the buckets of times: a demo's picture to a large model's batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One row of the table."""

    name: str
    kind: Kind
    labels: tuple[str, ...] = ()
    """Beside `job`, which all of them have."""
    help: str

    @property
    def unit(self) -> str:
        """As the name says it; empty for what is counted."""
        words = self.name.removesuffix("_total").split("_")
        if words[-3:] == ["usd", "per", "hour"]:
            return "usd_per_hour"
        return words[-1] if words[-1] in {"seconds", "bytes", "joules", "usd"} else ""


_TYPE: Final = ("node_type", "market")

_NVIDIA: Final = "where NVIDIA's driver tells"


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=name, kind="counter", labels=labels, help=text)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=name, kind="gauge", labels=labels, help=text)


def _histogram(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=name, kind="histogram", labels=labels, help=text)


_ROWS: Final = (
    _counter("images_total", "Images that became rendered, reused or failed.", "outcome"),
    _gauge("images_done", "Images of the job that are rendered, reused or failed, over all drivers.", "outcome"),
    _gauge("images_missing", "Images of the job that are not there yet."),
    _gauge("last_commit_timestamp_seconds", "When a batch that this driver heard of left its device last."),
    _gauge("driver_heartbeat_timestamp_seconds", "When the driver told these figures last."),
    _gauge("job_state", "1 for the state that the job is in, else 0.", "state"),
    _gauge("queue_tasks", "Tasks, or parts of them, that wait for a worker."),
    _gauge("workers", "Workers by state: starting, ready, waiting (for store or processor), leaving.", "state", *_TYPE),
    _gauge("nodes", "Nodes that the job has now.", *_TYPE),
    _counter("device_images_total", "Pictures that devices made and workers committed, duplicates too.", *_TYPE),
    _counter("image_bytes_total", "Bytes of images that workers put into the store."),
    _histogram("batch_seconds", "Time for which a committed batch had the device.", *_TYPE),
    _histogram("stage_seconds", "Time of each stage of a batch: denoise, decode, encode, upload.", "stage"),
    _histogram("startup_seconds", "Time from a worker's first word until it takes work.", *_TYPE),
    _counter("gpu_seconds_total", "Device time of committed batches.", *_TYPE),
    _counter("gpu_busy_seconds_total", f"Of it, time in which the GPU computed anything; {_NVIDIA}.", *_TYPE),
    _counter("gpu_energy_joules_total", f"Energy that the GPU drew in that time; {_NVIDIA}.", *_TYPE),
    _gauge("gpu_memory_peak_bytes", "Most that the last batch's device held; of a CPU worker, its process.", *_TYPE),
    _gauge("spend_usd", "Accrued by node sessions, over all drivers; a price known late may lower it.", *_TYPE),
    _gauge("spend_usd_per_hour", "What the nodes of now cost.", *_TYPE),
    _gauge("overhead_usd", "Spend that no node session holds, over all drivers."),
    _gauge("budget_usd", "The job's budget; absent without one."),
    _gauge("budget_left_usd", "What is left of it; absent without one."),
    _counter("notices_total", "Notices, for each worker of the node: reclaim, rebalance.", "kind", *_TYPE),
    _counter("preemptions_total", "Nodes that the cloud took.", *_TYPE),
    _counter("nodes_lost_total", "Nodes that went without a notice.", *_TYPE),
    _counter("workers_lost_total", "Workers that ended, by cause; those let go are HANDED_BACK.", "cause"),
    _counter("attempts_total", "Attempts that ended, by cause.", "cause"),
    _counter("retries_total", "Attempts that came back with images to try again or give up, by cause.", "cause"),
    _counter("store_requests_total", "Calls of the store, by driver and workers.", "operation"),
    _counter("store_errors_total", "Of them, those that the store's own retries could not mend.", "operation"),
    _counter("store_request_seconds_total", "Time that they took, retries included.", "operation"),
)

PREFIX: Final = "spotrender_"

METRICS: Final[Mapping[str, Metric]] = MappingProxyType({row.name: row for row in _ROWS})
"""Name without `spotrender_` -> what it is."""


class NoMetrics:
    """Implements `pipeline.ports.Metrics` for nobody."""

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Forget it."""

    def total(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""
