"""What a node type costs on demand, by the price table that ships."""

from decimal import Decimal

from jobs.profiles import node_types
from pipeline.reports.figures import ListPrice

_TABLE_REGION = "us-east-1"
"""The only region of the table."""


def listed_on_demand() -> ListPrice:
    """Dollars per hour of a whole node by provider, type and region; None where the table does not say."""
    types = node_types()

    def price(_provider: str, node_type: str, region: str) -> Decimal | None:
        known = types.get(node_type)
        return known.on_demand_usd_per_hour if known is not None and region in {"", _TABLE_REGION} else None

    return price
