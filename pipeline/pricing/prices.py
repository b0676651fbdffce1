"""What the domain asks of prices: for a kind of node, the steps of its price over time and where they come from."""

from dataclasses import dataclass
from typing import Protocol

from pipeline.pricing.tariff import PriceStep
from pipeline.record import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A kind of node that has a price."""

    provider: str
    node_type: str
    market: str
    """`spot`, `on_demand` or `local`."""
    region: str = ""
    zone: str = ""
    """Empty: not known, or no matter."""

    @property
    def name(self) -> str:
        """For a person: `g5.xlarge spot in us-east-1a`."""
        place = self.zone or self.region
        return f"{self.node_type} {self.market}" + (f" in {place}" if place else "")


def priced(node: Node) -> Priced:
    """What a node's price depends on."""
    return Priced(
        provider=node.provider, node_type=node.node_type, market=node.market, region=node.region, zone=node.zone
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What is known of a price in an interval."""

    steps: tuple[PriceStep, ...]
    """At least one, in order; the first one holds at the beginning of the interval."""
    final_until_ns: int
    """Prices before this instant will not be told differently."""
    stand_in: str = ""
    """Why this is not the price that was asked for but another one in its place; empty: it is."""


class Prices(Protocol):
    """Where prices come from. May take seconds; call it beside the driver's loop."""

    def quote(self, wanted: Priced, *, from_ns: int, until_ns: int) -> Quote:
        """The price over an interval.

        Raises:
            PriceUnknownError: nobody knows one; never a zero.
        """
