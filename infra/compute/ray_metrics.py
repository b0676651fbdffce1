"""Tells what a recorder keeps by `ray.util.metrics`: the Ray node of the driver serves it to Prometheus.

Ray writes `ray_` before every name. It takes in nothing before a process has joined it, so what was counted until then,
or under an earlier one, is told anew to each. It forgets a gauge that was read, so gauges are told every time.
"""

import sys
from typing import Any, Final

from infra.compute.metric_recorder import Recorder, Series
from pipeline.metrics import METRICS, PREFIX, SECONDS

_NEXT_TO_NOTHING: Final = sys.float_info.min
"""What a counter begins with, so that there is one before its first event: Ray counts no zero.
It is gone with the first addition.
"""


class RayExport:
    """Hands a recorder's figures to the Ray that this process is connected to, if it is.

    Args:
        recorder: what is told.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._session = ""
        self._instruments: dict[str, Any] = {}
        self._told: dict[Series, float] = {}

    def export(self) -> None:
        """Tell how things stand; does nothing without a Ray. Call it from one thread, every few seconds."""
        import ray

        if not ray.is_initialized():
            return
        session = ray.get_runtime_context().get_job_id() + ray.get_runtime_context().get_node_id()
        if session != self._session:
            self._session = session
            self._instruments.clear()
            self._told.clear()
        for series, value in self._recorder.values().items():
            self._tell(series, value, self._told.get(series))
            self._told[series] = value
        for (name, labels), value in self._recorder.take_observed():
            self._instrument(name).observe(value, dict(labels))

    def _tell(self, series: Series, value: float, before: float | None) -> None:
        name, labels = series
        instrument = self._instrument(name)
        if METRICS[name].kind == "gauge":
            instrument.set(value, dict(labels))
        elif before is None:
            instrument.inc(max(value, _NEXT_TO_NOTHING), dict(labels))
        elif value > before:
            instrument.inc(value - before, dict(labels))

    def _instrument(self, name: str) -> Any:
        """Ray's counterpart of a metric, made on first use."""
        if name not in self._instruments:
            self._instruments[name] = _made(name)
        return self._instruments[name]


def _made(name: str) -> Any:
    from ray.util import metrics

    metric = METRICS[name]
    labels = ("job", *metric.labels)
    full = f"{PREFIX}{name}"
    if metric.kind == "histogram":
        return metrics.Histogram(full, metric.help, boundaries=list(SECONDS), tag_keys=labels)
    kind = metrics.Counter if metric.kind == "counter" else metrics.Gauge
    return kind(full, metric.help, tag_keys=labels)
