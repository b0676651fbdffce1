"""What other cards can and cost, from the catalogue that ships, for a report's advice."""

from jobs.planning.catalogue import read_catalogue, read_offers
from jobs.profiles import node_types
from pipeline.reports.right_sizing import CardMarket, CardPrice


def card_market() -> CardMarket:
    """Every card with every price known of it. Raises: JobFileError: a file that ships is damaged."""
    catalogue = read_catalogue()
    types, prices = node_types(), list[CardPrice]()
    for offer in read_offers(catalogue).values():
        row = types[offer.type]
        asked = {"on_demand": row.on_demand_usd_per_hour, "spot": row.spot_usd_per_hour}
        prices += [
            CardPrice(
                card=offer.card,
                node_type=offer.type,
                provider=offer.provider,
                market=market,
                usd_per_gpu_hour=price / offer.gpus,
                source=row.source,
                as_of=row.as_of,
            )
            for market, price in asked.items()
            if price is not None and offer.card
        ]
    return CardMarket(catalogue=catalogue, prices=prices)
