"""Whether a rehearsal's reclaims leave its nodes the time to render anything, by arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.rehearsing.reclaims import TraceEvent
from pipeline.errors import JobFileError

START_SECONDS: Final = 6.0
"""What a node and its worker take on this machine from their start to their first batch, about."""

_HOPELESS: Final = 4.0
"""Where nodes need so many times what they live on average, one in fifty renders a batch before it is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long nodes live, and how long they have to, in seconds."""

    lifetime: float
    """Of a node, on average."""
    needed: float
    """To start and to render one batch."""
    nodes: int

    @property
    def arithmetic(self) -> str:
        """Both, in words."""
        return (
            f"each of {self.nodes} nodes is taken after {self.lifetime:.1f} s on average, and needs about"
            f" {self.needed:.1f} s to start and render a batch"
        )


def pace_of_removals(every_seconds: float, *, nodes: int, options: Mapping[str, Any]) -> Pace:
    """Of random reclaims: each takes one of all nodes.

    Args:
        every_seconds: between two reclaims, on average.
        nodes: of the cluster.
        options: of the model; may say `seconds_per_batch`.
    """
    return Pace(lifetime=every_seconds * nodes, needed=_needed(options), nodes=nodes)


def pace_of_trace(events: Sequence[TraceEvent], *, nodes: int, options: Mapping[str, Any]) -> Pace | None:
    """Of a trace; None where it takes no node. Arguments as of `pace_of_removals`."""
    removals = sum(event.change == "remove" for event in events)
    if not removals:
        return None
    return Pace(lifetime=events[-1].at_seconds * nodes / removals, needed=_needed(options), nodes=nodes)


def pace_warnings(pace: Pace | None, *, ends: bool) -> tuple[str, ...]:
    """What to say of a pace that leaves little time; nothing where it leaves enough.

    Args:
        pace: of the reclaims; None for one without any.
        ends: whether the reclaims end by themselves, as those of a trace do.

    Raises:
        JobFileError: the rehearsal would hardly ever end.
    """
    if pace is None or pace.lifetime >= pace.needed:
        return ()
    if ends:
        return (f"{pace.arithmetic}: little is rendered before the trace is over; lower --speed leaves them more time",)
    least = pace.needed / pace.nodes
    remedy = f"say --kill-every {least:.1f}s or more, or take more --nodes"
    if pace.lifetime * _HOPELESS < pace.needed:
        raise JobFileError(f"--kill-every: {pace.arithmetic}, so the job would hardly ever end; {remedy}")
    return (f"{pace.arithmetic}: most of the time goes into starting them; {remedy}",)


def _needed(options: Mapping[str, Any]) -> float:
    """To start and to render one batch; a batch of a model that does not say how long it takes counts nothing."""
    try:
        return START_SECONDS + float(options.get("seconds_per_batch", 0))
    except (TypeError, ValueError):  # the model's to refuse
        return START_SECONDS
