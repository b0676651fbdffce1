"""What an image of one model, size and number of steps has cost in a store: all spend over all such images rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import duckdb

from pipeline.reports.by import By
from pipeline.reports.ledger import Ledger
from pipeline.reports.summing import gather, groups

_SHAPE = By(text="shape", of_nodes=False, expression="concat_ws(chr(31), model, width, height, steps)")


class Shape(NamedTuple):
    """What decides most of an image's cost."""

    model: str
    """The job's name for it."""
    width: int
    height: int
    steps: int


def usd_per_image(ledger: Ledger) -> Mapping[Shape, Decimal]:
    """Fully loaded dollars for an image, for the 200 shapes on which most was spent."""
    try:
        gather(ledger, _SHAPE)
    except duckdb.Error:
        if not ledger.leave_out_damaged():
            raise
        gather(ledger, _SHAPE)
    found, _ = groups(ledger, _SHAPE)
    return {shape: usd for one in found if (usd := one.usd_per_image) is not None and (shape := _shape(one.name))}


def _shape(name: str) -> Shape | None:
    """The shape of a group; None for `(others)` and for what has none."""
    model, *figures = name.split("\x1f")
    return Shape(model, *map(int, figures)) if len(figures) == 3 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRate:
    """How fast one node session rendered images of one shape."""

    job: str
    node_type: str
    gpu: str
    """As the node told it."""
    shape: Shape
    images: int
    gpu_seconds: float
    """That they took on the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeHistory:
    """What became of the nodes of one type and market."""

    nodes: int
    hours: float
    """Of whole nodes."""
    reclaimed: int
    startup_seconds: float
    """Mean over the nodes, from the launch to the first batch and between models."""
    startup_deviation_seconds: float
    """By how much nodes differ in it; 0 where only one was seen."""


_RATES = """
SELECT job, node_type, gpu, model, width, height, steps, sum(facts.images) AS images, sum(nanoseconds) AS nanoseconds
FROM facts JOIN (SELECT job, node_session, gpu FROM sessions) USING (job, node_session)
WHERE outcome = 'rendered' AND model IS NOT NULL
GROUP BY job, node_session, node_type, gpu, model, width, height, steps
HAVING sum(facts.images) > 0 AND sum(nanoseconds) > 0
ORDER BY max(last_at) DESC LIMIT $most
"""

_HISTORY = """
SELECT node_type, market, count(*) AS nodes, sum(lifetime_gpu_nanoseconds / gpu_count) / 3.6e12 AS hours,
       count(*) FILTER (terminated_by = 'reclaimed') AS reclaimed,
       sum(startup_nanoseconds / gpu_count) / count(*) / 1e9 AS startup_seconds,
       coalesce(stddev_samp(startup_nanoseconds / gpu_count), 0) / 1e9 AS startup_deviation_seconds
FROM sessions WHERE gpu_count > 0 GROUP BY ALL
"""

MOST_SESSIONS = 5_000
"""The latest ones, on which rates rest."""


def session_rates(ledger: Ledger) -> list[SessionRate]:
    """How fast each node session rendered each shape, the latest first; after `usd_per_image`."""
    return [
        SessionRate(
            job=row["job"],
            node_type=row["node_type"],
            gpu=row["gpu"] or "",
            shape=Shape(row["model"], int(row["width"]), int(row["height"]), int(row["steps"])),
            images=int(row["images"]),
            gpu_seconds=int(row["nanoseconds"]) / 1e9,
        )
        for row in ledger.rows(_RATES, most=MOST_SESSIONS)
    ]


def histories(ledger: Ledger) -> dict[tuple[str, str], TypeHistory]:
    """By type and market, what became of nodes; after `usd_per_image`."""
    return {
        (row["node_type"], row["market"]): TypeHistory(
            nodes=int(row["nodes"]),
            hours=float(row["hours"]),
            reclaimed=int(row["reclaimed"]),
            startup_seconds=float(row["startup_seconds"]),
            startup_deviation_seconds=float(row["startup_deviation_seconds"]),
        )
        for row in ledger.rows(_HISTORY)
    }
