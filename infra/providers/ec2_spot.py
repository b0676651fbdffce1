"""EC2's spot price history: per zone, Linux, as steps in time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from infra.providers.ec2_answers import asked, price_of
from pipeline.errors import PriceUnknownError
from pipeline.pricing.prices import Priced
from pipeline.pricing.tariff import PriceStep

SOURCE: Final = "EC2 spot price history"

_PRODUCT: Final = "Linux/UNIX"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OLDEST: Final = timedelta(days=91)
"""EC2 keeps 90 days, so an older price is no answer of EC2's."""
_FUTURE: Final = timedelta(minutes=10)
_MOST_PAGES: Final = 50


class Ec2Spot:
    """Spot prices of EC2 instances.

    Args:
        client: gives a client for a service and a region.
    """

    name = "ec2-spot"
    fresh_seconds = 300.0
    """How long an answer stays good for those who ask for the present."""
    settles_seconds = 600.0
    """A step may become known this late."""

    def __init__(self, client: Callable[[str, str], Any]) -> None:
        self._client = client

    def steps(self, wanted: Priced, *, from_ns: int, until_ns: int, now_ns: int) -> tuple[PriceStep, ...]:
        """The steps in an interval, and the one that holds at its beginning.

        Where the zone is not known, the dearest zone counts at each instant, as an upper bound.

        Raises:
            PriceUnknownError: EC2 did not tell.
        """
        if not wanted.region:
            raise PriceUnknownError(f"{SOURCE}: the region of {wanted.node_type} is not known")

        def ask() -> list[Mapping[str, Any]]:
            request: dict[str, Any] = {
                "InstanceTypes": [wanted.node_type],
                "ProductDescriptions": [_PRODUCT],
                "StartTime": _instant(from_ns),
                "EndTime": _instant(until_ns),
                "PaginationConfig": {"PageSize": 1000},
            }
            if wanted.zone:
                request["AvailabilityZone"] = wanted.zone
            pages = self._client("ec2", wanted.region).get_paginator("describe_spot_price_history").paginate(**request)
            rows: list[Mapping[str, Any]] = []
            for number, page in enumerate(pages):
                if number == _MOST_PAGES:
                    raise ValueError("pages without end")
                rows.extend(page["SpotPriceHistory"])
            return rows

        rows = asked(SOURCE, "ec2:DescribeSpotPriceHistory", ask)
        return asked(SOURCE, "", lambda: _steps(rows, wanted, from_ns, now_ns))


def _steps(rows: Iterable[Mapping[str, Any]], wanted: Priced, from_ns: int, now_ns: int) -> tuple[PriceStep, ...]:
    """The answer, checked and sorted."""
    zones: dict[str, dict[int, PriceStep]] = {}
    oldest, latest = _instant(from_ns) - _OLDEST, _instant(now_ns) + _FUTURE
    for row in rows:
        zone, at = row["AvailabilityZone"], row["Timestamp"]
        other = wanted.zone and zone != wanted.zone
        if row["InstanceType"] != wanted.node_type or row["ProductDescription"] != _PRODUCT or other:
            continue
        if at < oldest:
            raise PriceUnknownError(f"{SOURCE}: it told a price of {at:%Y-%m-%d}, and knows no more than 90 days")
        if at > latest:
            continue
        at_ns = (at - _EPOCH) // timedelta(microseconds=1) * 1000
        price = price_of(row["SpotPrice"])
        zones.setdefault(zone, {})[at_ns] = PriceStep(at_ns=at_ns, usd_per_hour=price, source=f"{SOURCE}, {zone}")
    if not zones:
        raise PriceUnknownError(f"{SOURCE}: it knows no price of {wanted.name}")
    by_zone = [sorted(steps.values(), key=lambda step: step.at_ns) for steps in zones.values()]
    return tuple(by_zone[0]) if len(by_zone) == 1 else _dearest(by_zone, wanted.region)


def _dearest(by_zone: Sequence[Sequence[PriceStep]], region: str) -> tuple[PriceStep, ...]:
    """At each instant the highest price of all zones; a zone's first price holds before it, too."""
    source = f"{SOURCE}, dearest zone of {region}"
    found: list[PriceStep] = []
    for at_ns in sorted({step.at_ns for steps in by_zone for step in steps}):
        prices = [
            next((step for step in reversed(steps) if step.at_ns <= at_ns), steps[0]).usd_per_hour for steps in by_zone
        ]
        if not found or found[-1].usd_per_hour != max(prices):
            found.append(PriceStep(at_ns=at_ns, usd_per_hour=max(prices), source=source))
    return tuple(found)


def _instant(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_ns // 1000)
