"""What the head of a cluster costs, which is in no node session unless a job renders on it."""

from collections.abc import Mapping

from jobs.computing import IN_PROCESS
from jobs.prices.node_offers import price_of
from pipeline.pricing.overhead import HeadPrice

HEAD_PRICE = "SPOTRENDER_HEAD_USD_PER_HOUR"
"""Environment variable: dollars an hour."""


def head_price(environ: Mapping[str, str], *, address: str | None) -> HeadPrice | None:
    """The price of the head that this address means; None where this machine is the cluster, or nobody says.

    Raises:
        JobFileError: it is no price.
    """
    text = environ.get(HEAD_PRICE)
    if address in {None, IN_PROCESS} or not text:
        return None
    return HeadPrice(usd_per_hour=price_of(text, HEAD_PRICE), source=HEAD_PRICE)
