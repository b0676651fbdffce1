"""When the money was spent: node sessions one by one, and spend by category in stretches of time that add up."""

from datetime import UTC, datetime
from decimal import Decimal

from pipeline.ledger.schema import CATEGORIES
from pipeline.reports.by import NODE_KEYS
from pipeline.reports.figures import Session, Slot
from pipeline.reports.ledger import Ledger

MOST_SESSIONS = 500
MOST_SLOTS = 60

_WIDTHS = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400)
"""Seconds that a slot may last."""

_PIECES = f"""
CREATE OR REPLACE TEMP TABLE pieces AS
WITH timed AS (
    SELECT *, {NODE_KEYS["node_type"]} AS type,
           epoch_us(started_at)::HUGEINT AS from_us, greatest(epoch_us(until_at)::HUGEINT, from_us) AS to_us,
           least(from_us + startup_nanoseconds // (1000 * greatest(gpu_count, 1)), to_us) AS ready_us,
           coalesce(told, 0) AS told_usd
    FROM sessions LEFT JOIN (
        SELECT job, node_session, sum(usd) AS told FROM facts WHERE outcome = 'rendered' GROUP BY ALL
    ) USING (job, node_session)
)
"""

_SPREAD = """
SELECT place, type, category, sum(
    nano * least(greatest(at_us + $width_us - from_us, 0), lasts_us) // lasts_us
    - nano * least(greatest(at_us - from_us, 0), lasts_us) // lasts_us
)::DECIMAL(38, 0) * 0.000000001 AS usd
FROM (SELECT *, greatest(to_us - from_us, 1) AS lasts_us FROM pieces)
JOIN (SELECT range AS place, ($first_us + range * $width_us)::HUGEINT AS at_us FROM range($slots))
    ON at_us + $width_us > from_us AND at_us < from_us + lasts_us
GROUP BY ALL
"""

_RENDERED = f"""
SELECT least(greatest((coalesce(epoch_us(ended_at), 0) - $first_us) // $width_us, 0), $slots - 1) AS place, type,
       'rendering' AS category, sum(spent_usd) AS usd
FROM images JOIN (SELECT job, node_session, {NODE_KEYS["node_type"]} AS type FROM sessions) USING (job, node_session)
WHERE outcome = 'rendered' GROUP BY ALL
"""


def last_heartbeat(ledger: Ledger) -> datetime | None:
    """Up to when the sessions that still run are counted."""
    (row,) = ledger.rows("SELECT max(until_at) AS at FROM sessions WHERE terminated_by = 'running'")
    at: datetime | None = row["at"]
    return at


def sessions(ledger: Ledger) -> tuple[list[Session], int]:
    """The dearest sessions in the order of their start, and how many are left out."""
    rows = ledger.rows(
        """SELECT * FROM (
               SELECT job, node_session, node_id, node_type, market, zone, started_at, until_at AS ended_at,
                      terminated_by, accrued_usd AS usd, billable_usd, coalesce(rendered, 0) AS rendered,
                      count(*) OVER () AS everyone
               FROM sessions LEFT JOIN (
                   SELECT job, node_session, sum(images) AS rendered
                   FROM facts WHERE outcome = 'rendered' GROUP BY ALL
               ) USING (job, node_session)
               ORDER BY usd DESC, started_at, node_session LIMIT $most
           ) ORDER BY started_at, node_session""",
        most=MOST_SESSIONS,
    )
    everyone = rows[0]["everyone"] if rows else 0
    found = [
        Session(
            **({name: value for name, value in row.items() if name != "everyone"} | {"rendered": int(row["rendered"])})
        )
        for row in rows
    ]
    return found, everyone - len(found)


def slots(ledger: Ledger) -> list[Slot]:
    """Spend by category over time, in stretches of equal length; empty where no node session is known."""
    (span,) = ledger.rows(
        "SELECT min(epoch_us(started_at)) AS first, max(epoch_us(greatest(until_at, started_at))) AS last FROM sessions"
    )
    if span["first"] is None:
        return []
    first, last = span["first"] // 10**6, span["last"] // 10**6
    width = next((one for one in _WIDTHS if (last - first) // one < MOST_SLOTS - 1), _WIDTHS[-1])
    first -= first % width
    count = (last - first) // width + 1
    ledger.run(_PIECES + " UNION ALL ".join(_piece(category) for category in CATEGORIES))
    grid = {"first_us": first * 10**6, "width_us": width * 10**6, "slots": count}
    amounts: list[dict[str, dict[str, Decimal]]] = [{} for _ in range(count)]
    for row in ledger.rows(_SPREAD, **grid) + ledger.rows(_RENDERED, **grid):
        of_type = amounts[row["place"]].setdefault(row["type"], dict.fromkeys(CATEGORIES, Decimal(0)))
        of_type[row["category"]] += Decimal(row["usd"])
    return [
        Slot(
            started_at=datetime.fromtimestamp(first + place * width, UTC),
            seconds=width,
            categories={name: sum((one[name] for one in spent.values()), Decimal(0)) for name in CATEGORIES},
            by_node_type=spent,
        )
        for place, spent in enumerate(amounts)
    ]


def _piece(category: str) -> str:
    """One category's dollars of each session in nanos, and the stretch of time over which they are spread."""
    begin, end = ("from_us", "ready_us") if category == "startup" else ("ready_us", "to_us")
    usd = "(rendering_usd - told_usd)" if category == "rendering" else f"{category}_usd"
    return (
        f"SELECT type, '{category}' AS category, ({usd} * 1000000000)::HUGEINT AS nano,"
        f" {begin} AS from_us, {end} AS to_us FROM timed WHERE {usd} <> 0"
    )
