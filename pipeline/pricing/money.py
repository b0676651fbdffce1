"""Money as an exact measure over time: what an interval of one GPU of a node costs, in whole nano-dollars.

The cost of a node from the epoch to an instant is one rounded-down number; an interval costs the difference of two of
them. So intervals that join up add up, whatever was cut where. The GPUs of a node take its nano-dollars in turn
(Hermite's identity), so they add up to the node, and none ever gives one back.
"""

from collections.abc import Sequence
from decimal import Decimal

NANO = Decimal("0.000000001")
"""One nano-dollar: the resolution of the ledger's decimal128(18, 9)."""

_NS_PER_HOUR = 3_600_000_000_000


def nano_usd(usd: Decimal) -> int:
    """Dollars to whole nano-dollars, rounded half even."""
    return int((usd / NANO).to_integral_value())


def usd(nano: int) -> Decimal:
    """Whole nano-dollars to dollars, with nine places."""
    return (Decimal(nano) * NANO).quantize(NANO)


def interval_nano_usd(*, usd_per_hour: Decimal, gpu_count: int, gpu_index: int, started_ns: int, ended_ns: int) -> int:
    """Cost of one GPU of a node over an interval, in nano-dollars.

    Args:
        usd_per_hour: price of the whole node.
        gpu_count: GPUs among which it is divided.
        gpu_index: which of them, from 0.
        started_ns: instant, nanoseconds since the epoch.
        ended_ns: instant, not before `started_ns`.
    """
    price = nano_usd(usd_per_hour)

    def until(instant_ns: int) -> int:
        return gpu_share(price * instant_ns // _NS_PER_HOUR, gpu_index, gpu_count)

    return until(ended_ns) - until(started_ns)


def gpu_share(node_nano: int, gpu_index: int, gpu_count: int) -> int:
    """One GPU's part of a node's nano-dollars since the epoch; the parts of all GPUs add up to it."""
    return (node_nano + gpu_index) // gpu_count


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Divide a whole number in proportion to weights by largest remainder; the parts add up to it exactly.

    Equal remainders go to the earlier part. All weights zero count as equal. Empty weights give an empty list.
    """
    if not weights:
        return []
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for i in by_remainder[: total - sum(parts)]:
        parts[i] += 1
    return parts
