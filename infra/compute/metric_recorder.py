"""Keeps metrics in this process: all that a driver does for them is a few additions under a lock.

Whoever shows them (`ray_metrics.py`, a test) reads them here, on a thread of its own.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from pipeline.metrics import METRICS, Kind

_LOG = logging.getLogger(__name__)

Series = tuple[str, tuple[tuple[str, str], ...]]
"""Name, and labels in the order of their names."""

MOST_SERIES: Final = 5_000
"""More than any job has; what comes beyond is left out, and that is said once."""

MOST_OBSERVATIONS: Final = 20_000
"""Values of histograms that wait to be read; then the oldest go."""

_LONGEST_LABEL: Final = 120


@dataclass(slots=True)
class _Kept:
    """What was told so far."""

    values: dict[Series, float] = field(default_factory=dict)
    """Of counters and gauges."""
    observed: deque[tuple[Series, float]] = field(default_factory=lambda: deque(maxlen=MOST_OBSERVATIONS))


class Recorder:
    """Implements `pipeline.ports.Metrics`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = _Kept()
        self._said: set[str] = set()

    def add(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """See `Metrics.add`."""
        if (series := self._series(name, "counter", labels)) is not None and amount > 0:
            with self._lock:
                if self._has_room(series):
                    self._kept.values[series] = self._kept.values.get(series, 0.0) + amount

    def total(self, name: str, value: float, **labels: str) -> None:
        """See `Metrics.total`."""
        if (series := self._series(name, "counter", labels)) is not None:
            with self._lock:
                if self._has_room(series):
                    self._kept.values[series] = max(self._kept.values.get(series, 0.0), value)

    def set(self, name: str, value: float, **labels: str) -> None:
        """See `Metrics.set`."""
        if (series := self._series(name, "gauge", labels)) is not None:
            with self._lock:
                if self._has_room(series):
                    self._kept.values[series] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """See `Metrics.observe`."""
        if (series := self._series(name, "histogram", labels)) is not None:
            with self._lock:
                self._kept.observed.append((series, value))

    def values(self) -> dict[Series, float]:
        """Counters and gauges as they stand."""
        with self._lock:
            return dict(self._kept.values)

    def take_observed(self) -> list[tuple[Series, float]]:
        """Values of histograms since the last call."""
        with self._lock:
            taken = list(self._kept.observed)
            self._kept.observed.clear()
            return taken

    def _series(self, name: str, kind: Kind, labels: dict[str, str]) -> Series | None:
        """The series of these labels; None for what the table does not have so."""
        metric = METRICS.get(name)
        if metric is None or metric.kind != kind or set(labels) != {"job", *metric.labels}:
            self._say_once(name, f"{name} is no {kind} with the labels {', '.join(sorted(labels))}")
            return None
        return name, tuple(sorted((label, str(value)[:_LONGEST_LABEL]) for label, value in labels.items()))

    def _has_room(self, series: Series) -> bool:
        if series in self._kept.values or len(self._kept.values) < MOST_SERIES:
            return True
        self._say_once("", f"more than {MOST_SERIES} series: {series[0]} is left out")
        return False

    def _say_once(self, about: str, message: str) -> None:
        if about not in self._said:
            self._said.add(about)
            _LOG.warning("metrics: %s", message)
