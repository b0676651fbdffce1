"""What happens to a job, by a seed: which event at which share of its work, and to whom."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "raylet killed": "SIGKILL to a raylet and all below it: a node is gone without notice",
        "worker killed": "SIGKILL to a worker",
        "worker stopped": "SIGSTOP to a worker, SIGCONT some seconds later",
        "worker stopped long": "the same, for longer than the driver waits",
        "driver killed": "SIGKILL to the driver; the same submit again at once",
        "notice 30 s": "a node is announced, and gone 30 s later",
        "notice 2 s": "a node is announced, and gone 2 s later",
        "store away": "the store resets every connection for 20 s",
        "store slow": "503 SlowDown to half of all requests for 8 s",
    }
)

_LONG = ("notice 30 s", "store away", "worker stopped long")
"""What takes its time, and so must not come last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happens."""

    number: int
    kind: str
    at_share: float
    """Of the job's batches, as counted by their records: it happens when so many are there."""
    dice: float
    """From 0 to 1; decides whom it hits."""


def script(seed: int, counts: Mapping[str, int]) -> list[Event]:
    """So many events of each kind in an order that the seed decides, spread over the first nine tenths of the job."""
    dice = random.Random(seed)
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    dice.shuffle(kinds)
    early = [kind for kind in kinds if kind in _LONG]
    order = [kind for kind in kinds if kind not in _LONG]
    for kind in early:
        order.insert(dice.randrange(max(1, len(order) // 2)), kind)
    return [
        Event(number=number, kind=kind, at_share=0.9 * (number + 1) / len(order), dice=dice.random())
        for number, kind in enumerate(order)
    ]
