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
from pipeline.prices import Priced, Quote

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


class ProviderPrices:
    """Implements `pipeline.prices.Prices`.

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
        place = PRICE_SOURCES.get((wanted.provider, wanted.market))
        why = f"there is no source of prices for {wanted.name}"
        if place is not None:
            module, _, class_name = place.partition(":")
            source = cast("PriceSource", getattr(import_module(module), class_name)(self._clients))
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
        return Quote(steps=quote.steps, final_until_ns=0, stand_in=why) if place is not None else quote
