"""What a reader of a report should know of the rows that it was made from."""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from pipeline.ledger.schema import CATEGORIES
from pipeline.reports.by import By
from pipeline.reports.ledger import Ledger

_ALL = " + ".join(f"{category}_usd" for category in CATEGORIES)

_COUNTS = f"""
SELECT count(*) FILTER (terminated_by = 'running') AS running,
       max(until_at) FILTER (terminated_by = 'running') AS heartbeat,
       coalesce(sum(unattributed_usd) FILTER (terminated_by = 'running'), 0) AS in_flight_usd,
       coalesce(sum(unattributed_usd) FILTER (terminated_by <> 'running'), 0) AS unattributed_usd,
       count(*) FILTER (coalesce(usd_per_hour, 0) = 0) AS unpriced,
       count(*) FILTER (usd_per_hour < 0 OR accrued_usd < 0) AS negative,
       count(*) FILTER (accrued_usd <> {_ALL}) AS unbalanced,
       count(*) FILTER (until_at < started_at) AS backwards
FROM sessions
"""

_OVERLAPS = """
SELECT count(*) AS sessions, count(DISTINCT node_id) AS nodes FROM (
    SELECT node_id, started_at, max(until_at) OVER (
        PARTITION BY provider, node_id ORDER BY started_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before
    FROM sessions WHERE node_id <> ''
) WHERE started_at < before
"""


def notes_on(ledger: Ledger, unheld_usd: Decimal) -> Iterator[str]:
    """One sentence for each thing out of the ordinary."""
    (row,) = ledger.rows(_COUNTS)
    if row["running"]:
        at = f"{row['heartbeat']:%Y-%m-%d %H:%M:%S} UTC" if row["heartbeat"] else "their start"
        yield (
            f"{_sessions(row['running'], 'is', 'are')} not closed: counted up to the last heartbeat, {at}"
            + (f"; ${row['in_flight_usd']:f} of them is in flight (unattributed)" if row["in_flight_usd"] else "")
        )
    if row["unpriced"]:
        yield f"{_sessions(row['unpriced'], 'has', 'have')} no price (0 an hour), so costs here are too low"
    if row["negative"]:
        yield f"{_sessions(row['negative'], 'has', 'have')} a negative price; costs here cannot be trusted"
    if row["unbalanced"]:
        yield f"the categories of {_sessions(row['unbalanced'])} do not add up to what was accrued"
    if row["unattributed_usd"]:
        yield f"${row['unattributed_usd']:f} of closed node sessions is unattributed, which should not be"
    if row["backwards"]:
        yield f"{_sessions(row['backwards'], 'ends', 'end')} before the start"
    (overlaps,) = ledger.rows(_OVERLAPS)
    if overlaps["sessions"]:
        nodes = "one node" if overlaps["nodes"] == 1 else f"{overlaps['nodes']:,} nodes"
        yield f"{_sessions(overlaps['sessions'], 'overlaps', 'overlap')} an earlier one of the same node ({nodes})"
    if unheld_usd:
        yield f"overhead: images name node sessions that the nodes ledger does not hold, for ${unheld_usd:f}"


def overhead_notes(told: Iterable[tuple[Decimal, str]]) -> Iterator[str]:
    """What drivers counted beside the node sessions, by who said its price."""
    by_source: dict[str, Decimal] = {}
    for usd, source in told:
        by_source[source] = by_source.get(source, Decimal(0)) + usd
    for source, usd in by_source.items():
        yield f"overhead: ${usd:f} for the cluster's head while it drove" + (f" ({source})" if source else "")


def untagged(ledger: Ledger, by: By) -> Iterator[str]:
    """A tag that no image has is most likely misspelt: which ones there are."""
    if not by.tag or ledger.rows("SELECT 1 FROM facts WHERE key <> '' LIMIT 1"):
        return
    rows = ledger.rows("SELECT DISTINCT unnest(map_keys(tags)) AS tag FROM images ORDER BY tag LIMIT 20")
    there = ", ".join(row["tag"] for row in rows) or "none at all"
    yield f'no image has a tag "{by.tag}"; there are {there}'


def _sessions(count: int, one: str = "", several: str = "") -> str:
    """`1 node session is`, `3 node sessions are`."""
    noun = f"{count:,} node session{'' if count == 1 else 's'}"
    return f"{noun} {one if count == 1 else several}".rstrip()
