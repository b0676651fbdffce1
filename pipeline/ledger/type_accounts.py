"""Node sessions added up by type of node and market, as they stand now."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pipeline.ledger.books import NodeSession
from pipeline.pricing.money import usd


@dataclass(slots=True, kw_only=True)
class TypeAccount:
    """All sessions of one type and market."""

    nodes: int = 0
    """That are there."""
    reclaimed: int = 0
    lost: int = 0
    usd: Decimal = Decimal(0)
    """Accrued."""
    usd_per_hour: Decimal = Decimal(0)
    """Of those that are there, at the prices of now; only the part of each that is this job's."""


def by_type(sessions: Iterable[NodeSession], now_ns: int) -> dict[tuple[str, str], TypeAccount]:
    """By node type and market."""
    found: dict[tuple[str, str], TypeAccount] = {}
    for session in sessions:
        node = session.node
        account = found.setdefault((node.node_type, node.market), TypeAccount())
        account.usd += usd(session.lifetime(now_ns).nano_usd)
        account.reclaimed += session.terminated_by == "reclaimed"
        account.lost += session.terminated_by == "lost"
        if session.ended_ns is None:
            account.nodes += 1
            here = sum(line.owner is not None for line in session.gpus)
            account.usd_per_hour += session.tariff.at(now_ns).usd_per_hour * here / node.shares
    return found
