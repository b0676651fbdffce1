"""What stands between a worker's device and the store, and what the device waits for when that is full."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.events import Bottleneck


class Backlog:
    """The batches of one worker that are being finished, by stage; safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: Counter[Bottleneck] = Counter()
        self.said: Bottleneck | None = None
        """What the driver was told last that the device waits for."""

    @contextmanager
    def at(self, stage: Bottleneck) -> Iterator[None]:
        """A batch is at this stage meanwhile."""
        with self._lock:
            self._at[stage] += 1
        try:
            yield
        finally:
            with self._lock:
                self._at[stage] -= 1

    def narrowest(self) -> Bottleneck:
        """The stage that holds most batches; of equals the one nearest to the store, which holds up the others."""
        order: tuple[Bottleneck, ...] = ("store", "encoder", "decoder")
        with self._lock:
            return max(order, key=lambda stage: self._at[stage])
