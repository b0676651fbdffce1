"""Where prices come from: the provider where it tells, the store's memory of it, and else the table."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, cast

from infra.providers.ec2_answers import AwsClients
from infra.providers.price_cache import CachedPrices, PriceSource
from infra.providers.price_table import PriceTable
from pipeline.errors import PriceUnknownError
from pipeline.ports import Clock, Store
from pipeline.pricing.prices import Priced, Quote

PRICE_SOURCES: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("aws", "spot"): "infra.providers.ec2_spot:Ec2Spot",
        ("aws", "on_demand"): "infra.providers.ec2_on_demand:Ec2OnDemand",
    }
)
"""(provider, market) -> `module:Class`; a new one is one file and one line here, imported on use."""


def tells_prices(provider: str, market: str) -> bool:
    """Whether a provider can be asked for its prices."""
    return (provider, market) in PRICE_SOURCES


def price_source(provider: str, market: str, clients: Callable[[str, str], Any] | None = None) -> PriceSource | None:
    """The source of a provider's prices; None when there is none.

    Args:
        provider: whose.
        market: `spot` or `on_demand`.
        clients: gives the source the client of a service in a region; by the standard environment when not given.
    """
    place = PRICE_SOURCES.get((provider, market))
    if place is None:
        return None
    module, _, class_name = place.partition(":")
    return cast("PriceSource", getattr(import_module(module), class_name)(clients or AwsClients()))


class ProviderPrices:
    """Implements `pipeline.pricing.prices.Prices`.

    Args:
        table: stands in where a provider does not tell.
        store: remembers what providers told.
        clock: time.
        clients: gives a source the client of a service in a region.
    """

    def __init__(
        self, *, table: PriceTable, store: Store, clock: Clock, clients: Callable[[str, str], Any] | None = None
    ) -> None:
        self._table, self._store, self._clock = table, store, clock
        self._clients = clients or AwsClients()

    def quote(self, wanted: Priced, *, from_ns: int, until_ns: int) -> Quote:
        """See `Prices.quote`."""
        source = price_source(wanted.provider, wanted.market, self._clients)
        why = f"there is no source of prices for {wanted.name}"
        if source is not None:
            try:
                steps, final_ns = CachedPrices(source, store=self._store, clock=self._clock).steps(
                    wanted, from_ns=from_ns
                )
                return Quote(steps=steps, final_until_ns=min(final_ns, until_ns))
            except PriceUnknownError as error:
                why = str(error)
        quote = self._table.quote(wanted)
        if quote is None:
            raise PriceUnknownError(f"{why}, and the price table does not know {wanted.node_type}")
        return Quote(steps=quote.steps, final_until_ns=0, stand_in=why) if source is not None else quote
