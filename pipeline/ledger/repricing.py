"""The cost of a record's images by the tariff of its node session; the record itself keeps the price that it knew."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.pricing.money import nano_usd, split
from pipeline.pricing.tariff import Tariff
from pipeline.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPrice:
    """What the time of one node session costs."""

    tariff: Tariff
    shares: int
    """GPUs among which the node's price is divided."""


SessionPrices = Mapping[str, SessionPrice]
"""By node session; one that is not there costs what its records say."""

PricedUntil = dict[str, tuple[int, str]]
"""By node session: until when a ledger file holds time of it, and the digest of the prices that it was made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeWith:
    """How a ledger file came about."""

    records: int
    """How many records it was made of; clean-up may have deleted some since."""
    priced: PricedUntil


def image_costs(record: Record, prices: SessionPrices) -> list[int]:
    """Nano-dollars of each image of a record, in its order; they add up to what the batch's time cost."""
    if record.node is None or record.node.node_session not in prices:
        return [nano_usd(image.usd) for image in record.images]
    return split(batch_cost(record, prices), [1] * len(record.images))


def batch_cost(record: Record, prices: SessionPrices) -> int:
    """Nano-dollars of the device time of a record."""
    price = prices.get(record.node.node_session) if record.node else None
    if price is None:
        return nano_usd(record.usd)
    return price.tariff.cost(
        gpu_index=record.gpu_index, shares=price.shares, started_ns=record.started_ns, ended_ns=record.ended_ns
    )


def priced_until(records: list[Record], prices: SessionPrices) -> PricedUntil:
    """What a ledger file of these records was priced with."""
    last: dict[str, int] = {}
    for record in records:
        if record.node is not None:
            last[record.node.node_session] = max(record.ended_ns, last.get(record.node.node_session, 0))
    return {name: (until_ns, _digest(name, until_ns, prices)) for name, until_ns in last.items()}


def stale(made_with: PricedUntil, prices: SessionPrices) -> bool:
    """Whether prices became known since that change what such a file holds."""
    return any(_digest(name, until_ns, prices) != digest for name, (until_ns, digest) in made_with.items())


def _digest(name: str, until_ns: int, prices: SessionPrices) -> str:
    price = prices.get(name)
    return "" if price is None else price.tariff.digest(until_ns)
