"""How often a spot node is reclaimed: as this store saw it, else by the class that its provider tells of the type."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

HOURS_A_MONTH: Final = 730.0

CLASSES: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {"<5": (0.0, 0.05), "5-10": (0.05, 0.10), "10-15": (0.10, 0.15), "15-20": (0.15, 0.20), ">20": (0.20, 0.60)}
)
"""Share of nodes reclaimed in a month, as AWS's Spot Advisor tells it; the end of the last class is stated by us."""

UNKNOWN: Final = (0.0, 0.30, 1.0 / 10.5)
"""Where nobody told: never; 30 percent in a month; once in 10.5 hours, as in the calmer of the recorded V100 traces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimRate:
    """Reclaims of one node in an hour."""

    per_hour: float
    low: float
    high: float
    origin: str
    """`measured` where nodes were watched, `published`, or `estimated` where nobody told a class."""


NEVER: Final = ReclaimRate(per_hour=0.0, low=0.0, high=0.0, origin="published")
"""Of nodes that nobody takes back."""

_NINE_IN_TEN: Final = 1.645
"""Standard deviations of a normal distribution."""


def seen_rate(reclaimed: int, hours: float) -> ReclaimRate:
    """The rate of nodes that were watched, with the interval of a Poisson count by its score.

    Args:
        reclaimed: nodes that were taken.
        hours: that all nodes of the kind lived, above 0.
    """
    middle = reclaimed + _NINE_IN_TEN**2 / 2
    spread = _NINE_IN_TEN * math.sqrt(reclaimed + _NINE_IN_TEN**2 / 4)
    return ReclaimRate(
        per_hour=reclaimed / hours,
        low=max(0.0, middle - spread) / hours,
        high=(middle + spread) / hours,
        origin="measured",
    )


def reclaim_rate(interruption: str) -> ReclaimRate:
    """The rate of a class of `configs/node_types.yaml`; of the stated one where it is empty."""
    if not interruption:
        low, share, high = UNKNOWN
        return ReclaimRate(per_hour=_per_hour(share), low=_per_hour(low), high=high, origin="estimated")
    low, high = CLASSES[interruption]
    return ReclaimRate(
        per_hour=_per_hour((low + high) / 2), low=_per_hour(low), high=_per_hour(high), origin="published"
    )


def _per_hour(share_a_month: float) -> float:
    """The steady rate at which this share is gone after a month."""
    return -math.log1p(-share_a_month) / HOURS_A_MONTH
