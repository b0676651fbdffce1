"""The file of a node session, `nodes/<node session>/<fence>.json`: versioned, and readable from schema 1 on."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from pipeline.ledger.books import Category, GpuLine, NodeSession, Owner, Piece, Span
from pipeline.pricing.tariff import tariff_from_values, tariff_to_values
from pipeline.record import Node

SESSION_SCHEMA = 3
"""Version that is written. 1 had one price for each session and kept no intervals; 2 did not take start-up apart."""


def session_to_json(session: NodeSession) -> bytes:
    """The session as JSON; money as strings, but whole nano-dollars as numbers.

    `gpus[].closed` holds amounts of time that are added up, with their cost; `recent` the intervals
    `[start, end, owner]` whose prices may still change, `since_ns` and `owner` the present one: so a driver's death
    turns no lost second into idle. An owner is a category, a batch `[attempt, sequence]`, or null: not this job's.
    `lost` names the batches that were given up.
    """
    node = session.node
    values = {
        "schema": SESSION_SCHEMA,
        "node": asdict(node) | {"usd_per_hour": str(node.usd_per_hour)},
        "tariff": tariff_to_values(session.tariff),
        "started_ns": session.started_ns,
        "launched_ns": session.launched_ns,
        "ended_ns": session.ended_ns,
        "terminated_by": session.terminated_by,
        "heartbeat_ns": session.heartbeat_ns,
        "away": asdict(session.away),
        "shared": asdict(session.shared),
        "lost": [list(key) for key in session.lost],
        "gpus": [_line_values(line) for line in session.gpus],
    }
    return json.dumps(values).encode()


def session_from_json(body: bytes) -> NodeSession:
    """Read a session back. Raises: ValueError: not a session, or of a schema version that this code does not know."""
    values: dict[str, Any] = json.loads(body)
    schema = values.get("schema")
    if schema not in {1, 2, SESSION_SCHEMA}:
        raise ValueError(f"node session schema {schema!r}, this version reads 1 to {SESSION_SCHEMA}")
    node = Node(**(values["node"] | {"usd_per_hour": Decimal(values["node"]["usd_per_hour"])}))
    tariff = tariff_from_values(values["tariff"]) if schema > 1 else None
    session = NodeSession(node, started_ns=values["started_ns"], tariff=tariff)
    session.launched_ns = values.get("launched_ns", session.started_ns)
    session.ended_ns, session.terminated_by = values["ended_ns"], values["terminated_by"]
    session.heartbeat_ns = values["heartbeat_ns"]
    session.away = Span(**values["away"])
    session.shared = Span(**values.get("shared", {}))
    session.lost = [(attempt, sequence) for attempt, sequence in values.get("lost", ())]
    session.gpus = [_line(line) if schema > 1 else _line_of_schema_1(line) for line in values["gpus"]]
    return session


def _line_values(line: GpuLine) -> dict[str, Any]:
    return {
        "since_ns": line.since_ns,
        "owner": _owner_value(line.owner),
        "worker_since_ns": line.worker_since_ns,
        "closed": {category.value: asdict(span) for category, span in line.closed.items()},
        "absent": asdict(line.absent),
        "recent": [[piece.started_ns, piece.ended_ns, _owner_value(piece.owner)] for piece in line.recent],
    }


def _line(values: dict[str, Any]) -> GpuLine:
    line = GpuLine(
        since_ns=values["since_ns"],
        owner=_owner(values["owner"]),
        worker_since_ns=values["worker_since_ns"],
        closed=_closed(values["closed"]),
        absent=Span(**values["absent"]),
    )
    for started_ns, ended_ns, owner in values["recent"]:
        line.append(Piece(started_ns, ended_ns, _owner(owner)))
    return line


def _line_of_schema_1(values: dict[str, Any]) -> GpuLine:
    """Its open batches were amounts without instants; they count as lost until a record says otherwise."""
    line = GpuLine(since_ns=values["since_ns"], owner=_owner(values["owner"]), closed=_closed(values["closed"]))
    line.worker_since_ns = line.since_ns
    for _, _, span in values["batches"]:
        line.closed[Category.LOST_TO_FAILURE].add(Span(**span))
    return line


def _closed(values: dict[str, dict[str, int]]) -> dict[Category, Span]:
    return {category: Span(**values.get(category.value, {})) for category in Category}


def _owner_value(owner: Owner) -> Any:
    return owner.value if isinstance(owner, Category) else owner and list(owner)


def _owner(value: Any) -> Owner:
    if value is None:
        return None
    return Category(value) if isinstance(value, str) else (value[0], value[1])
