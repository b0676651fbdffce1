"""What a node type costs on demand: by the price table that ships, and by the provider where the table does not say."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from infra.providers.price_cache import CachedPrices
from infra.providers.prices import price_source
from jobs.profiles import node_types
from pipeline.clock import SystemClock
from pipeline.errors import PriceUnknownError
from pipeline.ports import Clock, Store
from pipeline.pricing.prices import Priced
from pipeline.reports.figures import ListPrice


def listed_on_demand(
    store: Store, *, clock: Clock | None = None, clients: Callable[[str, str], Any] | None = None
) -> ListPrice:
    """Dollars per hour of a whole node by provider, type and region; None where nobody tells.

    A provider that could not be asked (no credentials, no answer) is not asked again: a report does not wait for it.

    Args:
        store: remembers for a day what a provider told.
        clock: time.
        clients: gives the source the client of a service in a region.
    """
    types, clock, silent = node_types(), clock or SystemClock(), set[str]()

    def price(provider: str, node_type: str, region: str) -> Decimal | None:
        known = types.get(node_type)
        if known is not None and known.region in {"", region or known.region}:
            return known.on_demand_usd_per_hour
        source = price_source(provider, "on_demand", clients)
        if source is None or not region or provider in silent:
            return None
        wanted = Priced(provider=provider, node_type=node_type, market="on_demand", region=region)
        try:
            steps, _ = CachedPrices(source, store=store, clock=clock).steps(wanted, from_ns=clock.now_ns())
        except PriceUnknownError as error:
            if error.__cause__ is not None:  # not an answer, but the lack of one
                silent.add(provider)
            return None
        return steps[-1].usd_per_hour

    return price
