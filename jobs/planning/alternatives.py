"""The same job made other ways: on demand, by the second, by the image, and on a card that is bought."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from jobs.planning.catalogue import read_hosted_prices, read_serverless_prices
from jobs.planning.known_rates import Known, Share
from jobs.planning.plan_rows import PlanRow, Unknown, Unquoted, plan_row
from jobs.prices.price_files import with_power
from pipeline.catalogue.catalogue import Offer
from pipeline.catalogue.gpus import Gpu
from pipeline.catalogue.hosted import HostedPrice
from pipeline.estimates.alternatives import Monthly, Volume, images_to_break_even, wins
from pipeline.estimates.interruptions import HOURS_A_MONTH
from pipeline.estimates.quote import Dollars
from pipeline.job import NodeOffer

USD_PER_KWH: Final = Decimal("0.17")
"""Stated: about what a household pays in the United States."""

WRITTEN_OFF_MONTHS: Final = 36
"""Stated: for so long a card that is bought is used."""

_NANO = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One way to have the job made."""

    way: str
    """`plan`: what the plan chose; `on_demand`, `serverless`, `api`, `own_card`."""
    name: str
    """The node type, the service, the card."""
    nodes: int
    """Nodes, workers or cards at once; 0 where a service sees to that."""
    usd: Dollars
    """Of this job."""
    usd_per_image: Dollars
    monthly: Monthly
    """Of such jobs, one run a month."""
    wins: Volume | None
    """Images a month at which it costs less than what the plan chose; None: never, or nothing was chosen."""
    break_even_hours: float | None
    """Of rendering, until a card that is bought has cost no more than the plan's choice; None: never, or not bought."""
    origin: str
    """Of its speed: `measured`, `published` or `estimated`; `told` where nobody but the service knows."""
    source: str
    """Of its price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternatives:
    """The ways, compared."""

    rows: tuple[Alternative, ...]
    """The cheapest for this job first, what the plan chose among them."""
    left_out: tuple[Unquoted, ...]
    usd_per_kwh: Decimal
    written_off_months: int


def compare_ways(
    shares: Sequence[Share],
    chosen: PlanRow | None,
    on_demand: Sequence[PlanRow],
    known: Known,
    *,
    batch: int,
    usd_per_kwh: Decimal,
) -> Alternatives:
    """What else the job could be made with.

    Args:
        shares: of the job; at least one.
        chosen: by the plan.
        on_demand: rows of the on-demand market, for as many nodes as the plan takes.
        known: what estimates rest on.
        batch: images of a task.
        usd_per_kwh: of electricity.
    """
    images = sum(share.images for share in shares)
    workers = chosen.nodes * chosen.gpus if chosen else 1
    left_out: list[Unquoted] = []
    found = [_rented("plan", chosen)] if chosen else []
    found += [_rented("on_demand", row) for row in _of_interest(on_demand, chosen)]
    found += _serverless(shares, known, left_out, workers=workers, batch=batch)
    found += [_hosted(price, images) for price in read_hosted_prices()]
    for card in known.catalogue.gpus.values():
        if card.purchase_usd is not None:
            found += _owned(shares, card, card.purchase_usd, known, left_out, batch=batch, usd_per_kwh=usd_per_kwh)
    plan = found[0] if chosen else None
    return Alternatives(
        rows=tuple(sorted((_beside(row, plan, known) for row in found), key=lambda row: row.usd.middle)),
        left_out=tuple(left_out),
        usd_per_kwh=usd_per_kwh,
        written_off_months=WRITTEN_OFF_MONTHS,
    )


def _of_interest(on_demand: Sequence[PlanRow], chosen: PlanRow | None) -> Iterator[PlanRow]:
    """What was chosen, but on demand; and the cheapest of all, unless these are what was chosen."""
    cheapest = min(on_demand, key=lambda row: row.quote.usd.middle, default=None)
    for row in on_demand:
        same = chosen is not None and row.node_type == chosen.node_type
        if (same or row is cheapest) and not (same and chosen is not None and chosen.market == row.market):
            yield row


def _rented(way: str, row: PlanRow) -> Alternative:
    """A row of the plan."""
    return Alternative(
        way=way,
        name=row.node_type + (" spot" if row.market == "spot" else ""),
        nodes=row.nodes,
        usd=row.quote.usd,
        usd_per_image=row.quote.usd_per_image,
        monthly=_monthly(row),
        wins=None,
        break_even_hours=None,
        origin=row.quote.origin,
        source=row.price_source,
    )


def _monthly(row: PlanRow) -> Monthly:
    """One run a month: what starts once, and what grows with the images."""
    quote = row.quote
    return Monthly(
        fixed_usd=quote.fixed_usd, usd_per_image=((quote.usd.middle - quote.fixed_usd) / quote.images).quantize(_NANO)
    )


def _serverless(
    shares: Sequence[Share], known: Known, left_out: list[Unquoted], *, workers: int, batch: int
) -> list[Alternative]:
    """The cheapest GPU of each service, with as many workers as the plan has."""
    best: dict[str, Alternative] = {}
    for price in read_serverless_prices():
        name = f"{price.service} {price.card}"
        offer = NodeOffer(
            type=name,
            market="serverless",
            max=workers,
            usd_per_hour=price.usd_per_second * 3600,
            price_source=f"configs/serverless_prices.yaml ({price.source}, {price.as_of})",
        )
        kind = Offer(type=name, provider=price.service, card=price.card, gpus=1)
        try:
            row = _rented("serverless", plan_row(shares, offer, kind, known, batch=batch))
        except Unknown as unknown:
            left_out.append(Unquoted(node_type=name, market="serverless", why=str(unknown)))
            continue
        if price.service not in best or row.usd.middle < best[price.service].usd.middle:
            best[price.service] = row
    return list(best.values())


def _hosted(price: HostedPrice, images: int) -> Alternative:
    """A service that is paid by the image; the middle of what it is said to take."""
    low, high = price.usd_per_image_low, price.usd_per_image_high
    each = Dollars(middle=(low + high) / 2, low=low, high=high)
    return Alternative(
        way="api",
        name=price.service,
        nodes=0,
        usd=Dollars(middle=each.middle * images, low=low * images, high=high * images),
        usd_per_image=each,
        monthly=Monthly(fixed_usd=Decimal(0), usd_per_image=each.middle),
        wins=None,
        break_even_hours=None,
        origin="told",
        source=f"configs/hosted_prices.yaml ({price.models}; {price.source}, {price.as_of})",
    )


def _owned(
    shares: Sequence[Share],
    card: Gpu,
    price: Decimal,
    known: Known,
    left_out: list[Unquoted],
    *,
    batch: int,
    usd_per_kwh: Decimal,
) -> list[Alternative]:
    """One card, bought for this: its power while it renders, and its price by the month."""
    offer = NodeOffer(
        type=card.name, market="local", max=1, usd_per_hour=with_power(Decimal(0), Decimal(card.tdp_watts), usd_per_kwh)
    )
    kind = Offer(type=card.name, provider="own", card=card.name, gpus=1)
    try:
        row = plan_row(shares, offer, kind, known, batch=batch)
    except Unknown as unknown:
        left_out.append(Unquoted(node_type=card.name, market="own_card", why=str(unknown)))
        return []
    power, quote = _monthly(row), row.quote
    months = Decimal(repr(max(1.0, quote.hours.middle / HOURS_A_MONTH)))
    share = (price / WRITTEN_OFF_MONTHS * months).quantize(_NANO)
    usd = Dollars(middle=share + quote.usd.middle, low=share + quote.usd.low, high=share + quote.usd.high)
    return [
        replace(
            _rented("own_card", row),
            usd=usd,
            usd_per_image=_each(usd, quote.images),
            monthly=Monthly(
                fixed_usd=(price / WRITTEN_OFF_MONTHS).quantize(_NANO) + power.fixed_usd,
                usd_per_image=power.usd_per_image,
                most_images=int(quote.images_per_hour.middle * HOURS_A_MONTH),
            ),
            source=f"configs/gpus.yaml (${price:,} for the card alone, {card.as_of})",
        )
    ]


def _each(usd: Dollars, images: int) -> Dollars:
    """The same for one image."""
    middle, low, high = ((amount / images).quantize(_NANO) for amount in (usd.middle, usd.low, usd.high))
    return Dollars(middle=middle, low=low, high=high)


def _beside(row: Alternative, plan: Alternative | None, known: Known) -> Alternative:
    """The row, compared with what the plan chose."""
    if plan is None or row is plan:
        return row
    hours = None
    price = known.catalogue.gpus[row.name].purchase_usd if row.way == "own_card" else None
    if price is not None and row.monthly.most_images:
        images = images_to_break_even(price, row.monthly.usd_per_image, plan.monthly.usd_per_image)
        hours = None if images is None else images / row.monthly.most_images * HOURS_A_MONTH
    return replace(row, wins=wins(row.monthly, plan.monthly), break_even_hours=hours)
