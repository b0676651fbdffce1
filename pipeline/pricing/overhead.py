"""What no node session holds: the cluster's head while it drives a job, at a price that the user says."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.pricing.money import NANO, nano_usd, usd

_NS_PER_HOUR = 3_600_000_000_000
_MOST_USD = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPrice:
    """What an hour of the head costs."""

    usd_per_hour: Decimal
    source: str
    """Who says so."""


class Overhead:
    """Accrues over one driver's run, all earlier drivers included.

    Args:
        price: of the head; None where it is one of the job's own nodes, or nobody said.
        since_ns: when this driver began.
    """

    def __init__(self, price: HeadPrice | None, *, since_ns: int) -> None:
        self._price, self._since_ns = price, since_ns
        self.earlier_usd = Decimal(0)
        """Of the drivers before this one."""

    def accrued_usd(self, now_ns: int) -> Decimal:
        """Dollars up to an instant, rounded down to the nano-dollar."""
        if self._price is None:
            return self.earlier_usd
        lived_ns = max(0, now_ns - self._since_ns)
        return self.earlier_usd + usd(nano_usd(self._price.usd_per_hour) * lived_ns // _NS_PER_HOUR)

    def facts(self, now_ns: int) -> dict[str, Any]:
        """What the nodes ledger's metadata keeps of it; nothing where there was none."""
        amount = self.accrued_usd(now_ns)
        source = "" if self._price is None else self._price.source
        return {"overhead": {"usd": str(amount), "source": source}} if amount else {}


def told_overhead(facts: Any) -> tuple[Decimal, str] | None:
    """Dollars and source, as `facts` put them under `overhead`; None for what makes no sense."""
    if not isinstance(facts, Mapping):
        return None
    try:
        amount = Decimal(str(facts["usd"]))
    except (KeyError, ArithmeticError):
        return None
    if not amount.is_finite() or not 0 <= amount < _MOST_USD:
        return None
    return amount.quantize(NANO), str(facts.get("source", ""))
