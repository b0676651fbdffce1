"""How fast workers render, by type of node, and how long a node takes to begin: measured while the job runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.record import Outcome, Record

_MEMORY_SECONDS = 1800.0
"""Of work of a type: what is older counts half, and half again."""


@dataclass(slots=True)
class _Measured:
    """Images, and the seconds of work that they took, over all workers of a type."""

    images: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class NodeRates:
    """What one driver has measured."""

    expected: Mapping[str, float]
    """Images a second of one worker by type of node, as the job was planned; stands in where nothing is measured."""
    changeover_seconds: float
    """From asking for a node to its first batch, until one was measured."""
    batch_seconds: float = 0.0
    """Of the longest batch lately."""
    _types: dict[str, _Measured] = field(default_factory=dict)
    _starts: dict[str, float] = field(default_factory=dict)

    def worked(self, node_type: str, seconds: float) -> None:
        """A worker on a node of this type had work for so long."""
        measured = self._types.setdefault(node_type, _Measured())
        measured.seconds += seconds
        if measured.seconds > _MEMORY_SECONDS:
            measured.images /= 2
            measured.seconds /= 2

    def committed(self, record: Record) -> None:
        """A batch is in the store."""
        if record.node is not None:
            rendered = sum(image.outcome is Outcome.RENDERED for image in record.images)
            self._types.setdefault(record.node.node_type, _Measured()).images += rendered
            self.batch_seconds = max(record.gpu_nanoseconds / 1e9, self.batch_seconds * 0.98)

    def started(self, market: str, seconds: float) -> None:
        """A node of a market was asked for and became ready after so long."""
        self._starts[market] = seconds
        self.changeover_seconds = max(self._starts.values())

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return any(one.images and one.seconds for one in self._types.values())

    def of(self, node_type: str) -> float:
        """Images a second of a worker with work: measured, else as planned, else as the slowest that was measured."""
        rates = {name: one.images / one.seconds for name, one in self._types.items() if one.images and one.seconds}
        if node_type in rates:
            return rates[node_type]
        return self.expected.get(node_type) or min(rates.values(), default=0.0)
