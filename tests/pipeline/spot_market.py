"""A spot market that gives nodes and takes them, and a job on it that has a deadline; by a manual clock."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.driving.deadline import Pacer, Reserve, Standpoint

STEP_SECONDS = 5.0
"""Between two looks."""


@dataclass(slots=True)
class Node:
    """One node of the market."""

    ready_at: float
    done: float = 0.0
    """Share of the batch that it has on the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job and the nodes that it may use; all nodes are equally fast."""

    images: int
    deadline: float
    rate: float
    """Images a second of a node."""
    batch: int
    changeover_seconds: float
    most_spot: int
    most_reserve: int
    rate_known: bool = True
    """Whether the rate is known before the first batch is there."""


@dataclass(slots=True)
class Outcome:
    """What became of it."""

    ended_at: float | None = None
    """None: not by the deadline."""
    reserve_seconds: float = 0.0
    """Paid for, over all nodes of the reserve."""
    held: list[tuple[float, int]] = field(default_factory=list)
    """At each look: nodes of the reserve."""


def available(weather: Sequence[tuple[float, int]], now: float) -> int:
    """Spot nodes that the market has: for so many seconds so many, the last ones for ever."""
    for seconds, nodes in weather:
        if now < seconds:
            return nodes
        now -= seconds
    return weather[-1][1] if weather else 0


def perform(task: Task, weather: Sequence[tuple[float, int]]) -> Outcome:
    """Run the job until it is done or its deadline has passed."""
    pacer, outcome = Pacer(), Outcome()
    spot: list[Node] = []
    reserve: list[Node] = []
    now, left, known = 0.0, task.images, task.rate_known
    while now < task.deadline:
        there = min(task.most_spot, available(weather, now))
        del spot[there:]
        spot += [Node(now + task.changeover_seconds) for _ in range(there - len(spot))]
        rate = task.rate if known else 0.0
        (held,) = pacer.look(
            Standpoint(
                now=now,
                deadline=task.deadline,
                left=left,
                spot_rate=len(spot) * rate,
                spot_there=bool(spot),
                changeover_seconds=task.changeover_seconds,
                batch_seconds=task.batch / task.rate + STEP_SECONDS,
                reserves=(
                    Reserve(
                        most=task.most_reserve,
                        images_per_second=rate,
                        usd_per_hour=Decimal(1),
                        up=sum(node.ready_at <= now for node in reserve),
                    ),
                ),
            )
        )
        outcome.held.append((now, held))
        del reserve[held:]
        reserve += [Node(now + task.changeover_seconds) for _ in range(held - len(reserve))]
        now += STEP_SECONDS
        outcome.reserve_seconds += len(reserve) * STEP_SECONDS
        for node in (*spot, *reserve):
            node.done += max(0.0, min(STEP_SECONDS, now - node.ready_at)) * task.rate / task.batch
            batches, node.done = int(node.done), node.done - int(node.done)
            left -= batches * task.batch
            known = known or batches > 0
        if left <= 0:
            outcome.ended_at = now
            break
    return outcome
