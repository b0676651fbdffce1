"""EC2's on-demand prices by the Price List API, whose endpoint is in us-east-1 for all regions."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from infra.providers.ec2_answers import asked, price_of
from pipeline.errors import PriceUnknownError
from pipeline.pricing.prices import Priced
from pipeline.pricing.tariff import PriceStep

SOURCE: Final = "AWS Price List"

_ENDPOINT_REGION: Final = "us-east-1"
_MOST_PAGES: Final = 10
_FIXED: Final = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


class Ec2OnDemand:
    """On-demand prices of EC2 instances; they change so rarely that one holds for all of a session.

    Args:
        client: gives a client for a service and a region.
    """

    name = "ec2-on-demand"
    fresh_seconds = 86_400.0
    settles_seconds = 0.0

    def __init__(self, client: Callable[[str, str], Any]) -> None:
        self._client = client

    def steps(self, wanted: Priced, *, from_ns: int, until_ns: int, now_ns: int) -> tuple[PriceStep, ...]:
        """The one price. Raises: PriceUnknownError: AWS did not tell."""
        if not wanted.region:
            raise PriceUnknownError(f"{SOURCE}: the region of {wanted.node_type} is not known")
        fields = {"instanceType": wanted.node_type, "regionCode": wanted.region} | _FIXED
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fields.items()]

        def ask() -> list[str]:
            paginator = self._client("pricing", _ENDPOINT_REGION).get_paginator("get_products")
            products: list[str] = []
            for number, page in enumerate(paginator.paginate(ServiceCode="AmazonEC2", Filters=filters)):
                if number == _MOST_PAGES:
                    raise ValueError("pages without end")
                products.extend(page["PriceList"])
            return products

        products = asked(SOURCE, "pricing:GetProducts", ask)
        now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_ns // 1000)
        prices = asked(SOURCE, "", lambda: set(_prices(products, wanted, now)))
        if len(prices) != 1:
            said = "no price" if not prices else f"{len(prices)} prices"
            raise PriceUnknownError(f"{SOURCE}: it knows {said} of {wanted.node_type} in {wanted.region}")
        return (PriceStep(at_ns=0, usd_per_hour=prices.pop(), source=f"{SOURCE}, {wanted.region}"),)


def _prices(products: Iterable[str], wanted: Priced, now: datetime) -> Iterable[Decimal]:
    """Hourly prices of these products, checked; terms that begin later do not count."""
    for text in products:
        product = json.loads(text)
        attributes = product["product"]["attributes"]
        if (
            attributes["instanceType"] != wanted.node_type
            or attributes.get("regionCode", wanted.region) != wanted.region
        ):
            continue
        for term in product["terms"].get("OnDemand", {}).values():
            if datetime.fromisoformat(term["effectiveDate"]) > now:
                continue
            for dimension in term["priceDimensions"].values():
                if dimension["unit"] == "Hrs":
                    yield price_of(dimension["pricePerUnit"]["USD"])
