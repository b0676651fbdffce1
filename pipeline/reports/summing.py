"""Adds up node sessions and images by what they have in common; every sum is exact, in SQL, over decimals and integers.

`gather` makes two small temporary tables of the ledger's views: `sessions`, a row for each node session, and `facts`,
a row for all images of a session that a report need not tell apart. All further questions are put to these two.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from pipeline.ledger.schema import CATEGORIES, STARTUP_PARTS
from pipeline.reports.by import By
from pipeline.reports.figures import Group
from pipeline.reports.ledger import Ledger

MOST_GROUPS = 200
"""Groups beyond the dearest ones are added up in `(others)`."""

_AMOUNTS = (
    "accrued_usd",
    "billable_usd",
    "lifetime_gpu_nanoseconds",
    *(f"{category}_usd" for category in CATEGORIES),
    *(f"{category}_nanoseconds" for category in CATEGORIES),
)
"""Columns of a node session that add up."""

_PARTS = tuple(f"{part}_{unit}" for part in STARTUP_PARTS for unit in ("usd", "nanoseconds"))
"""Columns of a node session that add up to `startup`, where they are not null; they are not divided among images."""

_DIVIDED = tuple(column for column in _AMOUNTS if column not in {"accrued_usd", "lifetime_gpu_nanoseconds"})
"""Those of them that are divided among groups of images; the other two are sums of them."""

_OUTCOMES = {"rendered": "rendered", "reused": "reused", "failed": "failed", "duplicates": "duplicate"}
"""Figure -> the outcome that it counts."""

_OWN = {"rendering": "rendered", "duplicate": "duplicate", "lost_to_failure": "failed"}
"""Categories that images hold themselves -> by which outcome."""

_STATES = "reclaimed", "lost", "running"


def gather(ledger: Ledger, by: By) -> None:
    """Make the two tables. Reads every file once. Raises: duckdb.Error: a file is damaged."""
    never_null = ", ".join(f"coalesce({amount}, 0) AS {amount}" for amount in _AMOUNTS)
    ledger.run(
        f"""CREATE OR REPLACE TEMP TABLE sessions AS
        SELECT * REPLACE ({never_null}), coalesce(ended_at, heartbeat_at, started_at) AS until_at
        FROM nodes
        QUALIFY row_number() OVER (PARTITION BY job, node_session ORDER BY heartbeat_at DESC NULLS LAST) = 1"""
    )
    ledger.run("SET VARIABLE tag = $tag", tag=by.tag)
    key = "''" if by.of_nodes else by.expression
    ledger.run(
        f"""CREATE OR REPLACE TEMP TABLE facts AS
        SELECT job, date, coalesce(node_session, '') AS node_session, node_type, market, region, zone,
               outcome, cause, model, width, height, steps, coalesce({key}, '') AS key,
               count(*) AS images, coalesce(sum(spent_usd), 0) AS usd,
               coalesce(sum(spent_gpu_nanoseconds), 0)::HUGEINT AS nanoseconds,
               coalesce(sum(bytes), 0)::HUGEINT AS bytes,
               max(ended_at) AS last_at, max(batch_size) AS batch_size,
               arg_max(epoch_us(ended_at) - epoch_us(started_at), ended_at) AS last_batch_us,
               max(precision) AS precision, max(memory_bytes) AS memory_bytes,
               sum(gpu_busy * spent_gpu_nanoseconds) AS busy,
               sum(spent_gpu_nanoseconds) FILTER (gpu_busy IS NOT NULL)::DOUBLE AS busy_told,
               sum(gpu_watts * spent_gpu_nanoseconds) AS watts,
               sum(spent_gpu_nanoseconds) FILTER (gpu_watts IS NOT NULL)::DOUBLE AS watts_told
        FROM images GROUP BY ALL"""
    )


def groups(ledger: Ledger, by: By) -> tuple[list[Group], int]:
    """The groups, dearest first, and how many of them are added up in the last one, `(others)`."""
    sums = _by_node(by.expression) if by.of_nodes else _by_image()
    columns = ["nodes", *_STATES, *_AMOUNTS, *_OUTCOMES]
    totals = ", ".join(
        [
            *(f"coalesce(sum({column}), 0) AS {column}" for column in columns),
            *(f"sum({column}) AS {column}" for column in (_PARTS if by.of_nodes else ())),
        ]
    )
    rows = ledger.rows(
        f"""WITH summed AS ({sums}),
        ranked AS (
            SELECT *, row_number() OVER (ORDER BY accrued_usd DESC NULLS LAST, rendered DESC, key) AS place FROM summed
        )
        SELECT CASE WHEN place > $most THEN '(others)' ELSE key END AS name, count(*) AS members, {totals}
        FROM ranked GROUP BY name, place > $most ORDER BY min(place)""",
        most=MOST_GROUPS,
    )
    left_out = rows[-1]["members"] if len(rows) > MOST_GROUPS else 0
    return [_group(row) for row in rows], left_out


def total(ledger: Ledger) -> Group:
    """All that was read."""
    found, _ = groups(ledger, By(text="", of_nodes=True, expression="'all'"))
    return found[0] if found else _group(dict.fromkeys(["nodes", *_STATES, *_AMOUNTS, *_OUTCOMES], 0) | {"name": "all"})


def _group(row: dict[str, Any]) -> Group:
    told = all(row.get(column) is not None for column in _PARTS)
    return Group(
        name=row["name"],
        nodes=int(row["nodes"]),
        reclaimed=int(row["reclaimed"]),
        lost=int(row["lost"]),
        running=int(row["running"]),
        gpu_nanoseconds=int(row["lifetime_gpu_nanoseconds"]),
        usd=Decimal(row["accrued_usd"]),
        billable_usd=Decimal(row["billable_usd"]),
        categories={category: Decimal(row[f"{category}_usd"]) for category in CATEGORIES},
        nanoseconds={category: int(row[f"{category}_nanoseconds"]) for category in CATEGORIES},
        startup_parts={part: Decimal(row[f"{part}_usd"]) for part in STARTUP_PARTS} if told else None,
        startup_nanoseconds={part: int(row[f"{part}_nanoseconds"]) for part in STARTUP_PARTS} if told else None,
        rendered=int(row["rendered"]),
        reused=int(row["reused"]),
        failed=int(row["failed"]),
        duplicates=int(row["duplicates"]),
    )


def _counted(what: str) -> str:
    """Images by outcome."""
    return ", ".join(
        f"coalesce(sum({what}) FILTER (outcome = '{outcome}'), 0) AS {name}" for name, outcome in _OUTCOMES.items()
    )


def _states() -> str:
    """Node sessions, and how they ended."""
    ends = (f"count(*) FILTER (terminated_by = '{state}') AS {state}" for state in _STATES)
    return ", ".join(["count(*) AS nodes", *ends])


def _sums(columns: Sequence[str]) -> str:
    return ", ".join(f"sum({column}) AS {column}" for column in columns)


def _by_node(key: str) -> str:
    """Whole node sessions; images go with theirs, and those without one (reused) by what they say themselves."""
    return f"""
    SELECT * FROM (
        SELECT coalesce({key}, '') AS key, {_states()}, {_sums((*_AMOUNTS, *_PARTS))} FROM sessions GROUP BY key
    )
    FULL JOIN (
        SELECT coalesce(key_of_node, own_key, '') AS key, {_counted("images")}
        FROM (SELECT * EXCLUDE (key), {key} AS own_key FROM facts)
        LEFT JOIN (SELECT job, node_session, {key} AS key_of_node FROM sessions) USING (job, node_session)
        GROUP BY 1
    ) USING (key)"""


def _by_image() -> str:
    """Images' own amounts are theirs; the rest of each session is divided by the GPU time of its images.

    The n-th share is the difference of two rounded-down running totals, so the shares add up to the whole.
    """
    own = {f"{category}_{unit}": outcome for category, outcome in _OWN.items() for unit in ("usd", "nanoseconds")}
    owned = ", ".join(
        f"coalesce(sum({_unit(column)}) FILTER (outcome = '{outcome}'), 0) AS own_{column}"
        for column, outcome in own.items()
    )
    all_own = ", ".join(f"sum(own_{column}) OVER whole AS all_{column}" for column in own)
    parts = {column: (f"own_{column}", f"all_{column}") if column in own else ("0", "0") for column in _DIVIDED}
    shares = ", ".join(f"{_share(column, mine, alls)} AS part_{column}" for column, (mine, alls) in parts.items())
    sums = ", ".join(f"sum(part_{column}) AS {column}" for column in _DIVIDED)
    usd = " + ".join(f"sum(part_{category}_usd)" for category in CATEGORIES)
    return f"""
    SELECT * FROM (
        SELECT key, {_states()}, {sums}, {usd} AS accrued_usd,
               {usd.replace("_usd", "_nanoseconds")} AS lifetime_gpu_nanoseconds
        FROM (
            SELECT key, terminated_by, {shares} FROM (
                SELECT *, sum(weight) OVER upto AS upto, sum(weight) OVER whole AS whole, {all_own} FROM (
                    SELECT job, node_session, key, {owned}, sum(greatest(nanoseconds, 0) + images)::HUGEINT AS weight
                    FROM facts GROUP BY ALL
                )
                WINDOW whole AS (PARTITION BY job, node_session),
                       upto AS (PARTITION BY job, node_session ORDER BY key ROWS UNBOUNDED PRECEDING)
            ) JOIN sessions USING (job, node_session)
        ) GROUP BY key
    )
    FULL JOIN (SELECT key, {_counted("images")} FROM facts GROUP BY key) USING (key)
    UNION ALL BY NAME
    SELECT '(no image)' AS key, {_states()}, {_sums(_AMOUNTS)} FROM sessions
    ANTI JOIN facts USING (job, node_session) HAVING count(*) > 0"""


def _unit(column: str) -> str:
    return "usd" if column.endswith("_usd") else "nanoseconds"


def _share(column: str, mine: str, alls: str) -> str:
    """What a group has itself, and its share of what is left of the session, in whole nanos."""
    money = column.endswith("_usd")
    left = f"({column} - {alls})"
    left = f"({left} * 1000000000)::HUGEINT" if money else f"{left}::HUGEINT"
    share = f"({left} * upto // whole - {left} * (upto - weight) // whole)"
    return f"{mine} + {share}::DECIMAL(38, 0) * 0.000000001" if money else f"{mine} + {share}"
