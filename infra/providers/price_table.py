"""Prices that stand in a file, each with where it was read and when; the last resort where a provider does not tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.pricing.prices import Priced, Quote
from pipeline.pricing.tariff import FOREVER, PriceStep


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One price of one kind of node."""

    node_type: str
    market: str
    """`spot` or `on_demand`."""
    usd_per_hour: Decimal
    """Of the whole node; more than zero."""
    source: str
    """Where it comes from and of when, for a person."""
    region: str = ""
    """Empty: any."""
    zone: str = ""
    """Empty: any of the region."""


class PriceTable:
    """Rows of one or more files.

    Args:
        rows: of two that fit equally well, the first one counts.
    """

    def __init__(self, rows: Iterable[TableRow]) -> None:
        self._rows: dict[tuple[str, str], list[TableRow]] = {}
        for row in rows:
            self._rows.setdefault((row.node_type, row.market), []).append(row)

    def quote(self, wanted: Priced) -> Quote | None:
        """The row that fits best: of the zone, of the region, of any, of another region; None when there is none.

        Where there is no spot price, the on-demand price stands in, as an upper bound, and says so.
        """
        row, remark = self._best(wanted, wanted.market), ""
        if row is None and wanted.market == "spot":
            row, remark = self._best(wanted, "on_demand"), "; on-demand price, no spot price known"
        if row is None:
            return None
        if row.region and wanted.region and row.region != wanted.region:
            remark += f"; price of {row.region}, none of {wanted.region} known"
        step = PriceStep(at_ns=0, usd_per_hour=row.usd_per_hour, source=f"{row.source}{remark}")
        return Quote(steps=(step,), final_until_ns=FOREVER)

    def _best(self, wanted: Priced, market: str) -> TableRow | None:
        rows = self._rows.get((wanted.node_type, market), [])
        return max(rows, key=lambda row: _fit(row, wanted), default=None)


def _fit(row: TableRow, wanted: Priced) -> int:
    """How well a row fits."""
    if row.zone:
        return 3 if row.zone == wanted.zone else 0
    if row.region:
        return 2 if row.region == wanted.region else 0
    return 1
