"""Where attempts work: what one worker has at hand, and what it has learned of its device."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.events import WorkerEvent
from pipeline.ports import Clock, Gauge, Store
from pipeline.record import Node
from pipeline.request import Variant
from pipeline.working.backlog import Backlog
from pipeline.working.device import Device
from pipeline.working.stages import Stages
from pipeline.working.tuner import Tuner

_MARGIN = 1.2
"""A batch is expected to take up to this much longer than the longest of the last ones."""

_MARGIN_SECONDS = 0.5
"""Beside that, for whatever else a node does that is about to go."""

_REMEMBERED = 4

Shape = tuple[str, str, int, int]
"""Revision of the model, precision, width, height."""


def shape_of(variant: Variant) -> Shape:
    """What the memory that a request takes follows from."""
    return variant.model, variant.precision, variant.width, variant.height


class Pace:
    """How long batches took so far: on the device, and from there until their record was in the store."""

    def __init__(self) -> None:
        self._on_device: dict[tuple[Variant, int], deque[float]] = {}
        self._finishing: deque[float] = deque(maxlen=_REMEMBERED)

    def rendered(self, variant: Variant, size: int, seconds: float) -> None:
        """A batch of this size has been denoised."""
        self._on_device.setdefault((variant, size), deque(maxlen=_REMEMBERED)).append(seconds)

    def forget(self, variant: Variant, size: int) -> None:
        """Batches of this kind take another time from now on."""
        self._on_device.pop((variant, size), None)

    def batch_seconds(self, variant: Variant, size: int, *, least: int = 1) -> float | None:
        """How long the last batches of this kind took on the device, on average; None when fewer than `least` did."""
        known = self._on_device.get((variant, size), ())
        return sum(known) / len(known) if len(known) >= least else None

    def finished(self, seconds: float) -> None:
        """A batch has been committed, so long after it was denoised."""
        self._finishing.append(seconds)

    def left_seconds(self, variant: Variant, size: int, *, elapsed_seconds: float) -> float | None:
        """What a batch on the device still needs until it is committed, with a margin; None when none was measured."""
        known = self._on_device.get((variant, size))
        if not known:
            return None
        rendering = max(0.0, max(known) * _MARGIN - elapsed_seconds)
        return rendering + max(self._finishing, default=0.0) * _MARGIN + _MARGIN_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What the attempts of one worker share."""

    worker: str
    node: Node
    gpu_index: int
    store: Store
    clock: Clock
    device: Device
    stages: Stages
    emit: Callable[[WorkerEvent], None]
    leaving: Callable[[], str]
    """Why no batch may be begun now; empty when one may."""
    closed: Callable[[], bool]
    """Whether the worker is ending, so that nothing is waited for any longer."""
    poison: Callable[[str], None]
    """Told when this process must not render anything more."""
    slots: threading.Semaphore
    """One for each batch that may be between the device and the store; bounds the memory."""
    gauge: Gauge | None = None
    """None where nobody can tell how busy the device is."""
    backlog: Backlog = field(default_factory=Backlog)
    pace: Pace = field(default_factory=Pace)
    most_at_once: dict[Shape, int] = field(default_factory=dict)
    """Batch sizes above this did not fit in this process."""
    tuners: dict[Variant, Tuner] = field(default_factory=dict)
    """Searches for the best batch size, those that ended too."""

    @property
    def place(self) -> dict[str, str]:
        """Where this is, for the log."""
        return {"node": self.node.node_session, "worker": self.worker}
