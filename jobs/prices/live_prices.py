"""Prices of a driver's nodes: asked for when it begins, and again while it runs."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import replace

from infra.providers.prices import ProviderPrices
from jobs.prices.price_files import price_table
from pipeline.errors import PriceUnknownError
from pipeline.job import NodeOffer
from pipeline.ports import Clock, Store
from pipeline.pricing.prices import Priced, Prices
from pipeline.pricing.pricing import Pricing


def prices_of(store: Store, clock: Clock) -> ProviderPrices:
    """The providers' prices, remembered in a store, with the table that ships in their place."""
    return ProviderPrices(table=price_table(), store=store, clock=clock)


def priced_now(
    offers: Iterable[NodeOffer], prices: Prices, *, clock: Clock, executor: Executor
) -> tuple[NodeOffer, ...]:
    """The offers at the prices of this instant; each says where its price comes from, and why it is a stand-in.

    Args:
        offers: as the settings have them.
        prices: asked for those that change, all at a time.
        clock: time.
        executor: runs the look-ups.
    """
    return tuple(executor.map(lambda offer: _priced(offer, prices, clock) if offer.live else offer, offers))


def _priced(offer: NodeOffer, prices: Prices, clock: Clock) -> NodeOffer:
    wanted = Priced(
        provider=offer.provider, node_type=offer.type, market=offer.market, region=offer.region, zone=offer.zone
    )
    now_ns = clock.now_ns()
    try:
        quote = prices.quote(wanted, from_ns=now_ns, until_ns=now_ns)
    except PriceUnknownError as error:
        return replace(offer, price_source=f"{offer.price_source}; stands in: {error}")
    if quote.stand_in:
        return replace(offer, price_source=f"{offer.price_source}; stands in: {quote.stand_in}")
    step = [one for one in quote.steps if one.at_ns <= now_ns] or [quote.steps[0]]
    return replace(offer, usd_per_hour=step[-1].usd_per_hour, price_source=step[-1].source)


def pricing_of(offers: Callable[[], tuple[NodeOffer, ...]], prices: Prices, executor: Executor) -> Pricing:
    """What keeps the prices of the driver's node sessions up to date; the offers may change while it drives."""
    return Pricing(prices=prices, offers=offers, executor=executor)
