"""What services take for an image, so that renting can be compared with not renting."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedPrice:
    """One row of `configs/hosted_prices.yaml`: a claim, like all that is told on pages."""

    service: str
    models: str
    """As the page names them."""
    usd_per_image_low: Decimal
    usd_per_image_high: Decimal
    source: str
    as_of: str
    certain: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerlessPrice:
    """One row of `configs/serverless_prices.yaml`."""

    service: str
    card: str
    """Name in the catalogue."""
    usd_per_second: Decimal
    """Of one GPU, from the start of a worker to its end."""
    source: str
    as_of: str
    certain: bool = True
    note: str = ""
