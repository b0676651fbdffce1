"""What a job left behind after it was driven to its end, and all that must hold of it then."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any

import pyarrow.parquet as pq

from infra.stores.memory import MemoryStore
from pipeline.job import Job
from pipeline.ledger.bucket_table import bucket_table
from pipeline.ledger.schema import CATEGORIES, STARTUP_PARTS
from pipeline.ledger.tally import StoredRecord, tally
from pipeline.record import Cause, Outcome, Record, record_from_json
from pipeline.request_table import RequestTable
from pipeline.status import read_status

ENOUGH_DEATHS = 6
"""Unnoticed deaths, all of which may have hit the same image: three of its batch, and three more alone."""

UNLUCKY = {Cause.INFRASTRUCTURE, Cause.OUT_OF_MEMORY}
"""What an image is recorded with that met so many."""


@dataclass(frozen=True)
class History:
    """What is left after a job was driven to its end, through all deaths."""

    store: MemoryStore
    job: Job
    table: RequestTable
    drivers: int
    deaths: int
    raced: bool = False
    """Whether two workers may have rendered the same images."""
    fails: Mapping[int, str] = field(default_factory=dict)
    """Manifest row -> the cause for which its images must fail."""


def records_of(history: History) -> list[StoredRecord]:
    """All records of the job, as the store has them."""
    infos = history.store.list(f"jobs/{history.job.id}/records/")
    return [
        StoredRecord(record=record_from_json(history.store.get(info.key)), modified_at=info.modified_at)
        for info in infos
    ]


def ledger(history: History, kind: str) -> list[dict[str, Any]]:
    """All rows of one of the two ledgers."""
    rows: list[dict[str, Any]] = []
    for info in history.store.list(f"ledger/{kind}/date={history.job.date}/job={history.job.id}/"):
        rows.extend(pq.read_table(BytesIO(history.store.get(info.key))).to_pylist())
    return rows


def check(history: History) -> None:
    """All that must hold at the end of every history."""
    wanted = {row.image_id for row in history.table.rows(range(len(history.table)))}
    records = records_of(history)
    check_images(history, [item.record for item in records], wanted)
    check_ledger(history, records, wanted)
    check_books(history)


def check_images(history: History, records: list[Record], wanted: set[str]) -> None:
    """Every image is there, named by a record, but for those that must fail; none was rendered again in vain."""
    failing = failing_images(history)
    rendered: Counter[str] = Counter()
    failed: dict[str, set[str]] = {}
    for image in (image for record in records for image in record.images):
        if image.outcome is Outcome.RENDERED:
            rendered[image.image_id] += 1
            assert history.store.head(image.key) is not None
        elif image.outcome is Outcome.FAILED:
            failed.setdefault(image.image_id, set()).add(image.cause)
    given_up = {image_id for image_id in failed if image_id not in rendered}
    unlucky = {image_id for image_id in given_up if failed[image_id] <= UNLUCKY}
    if history.deaths < ENOUGH_DEATHS:
        assert not unlucky - {image_id for image_id, cause in failing.items() if cause in UNLUCKY}
    assert set(rendered) | given_up == wanted
    assert given_up - unlucky == set(failing) - unlucky
    for image_id in given_up - unlucky:
        assert failed[image_id] == {failing[image_id]}
    if not history.raced:
        assert set(rendered.values()) <= {1}, "an image that a record named was rendered again"


def failing_images(history: History) -> dict[str, str]:
    """Image id -> the cause for which it must fail."""
    rows = history.table.rows(range(len(history.table)))
    return {row.image_id: history.fails[row.manifest_row] for row in rows if row.manifest_row in history.fails}


def check_ledger(history: History, records: list[StoredRecord], wanted: set[str]) -> None:
    """The images ledger is the set of records, and every bucket of a finished job is sealed."""
    rows = ledger(history, "images")
    assert {row["image_id"] for row in rows} == wanted
    expected = bucket_table(tally(records)).to_pylist()
    assert sorted(map(repr, rows)) == sorted(map(repr, expected))
    for info in history.store.list("ledger/images/"):
        facts = json.loads(pq.read_schema(BytesIO(history.store.get(info.key))).metadata[b"spotrender"])
        assert facts["sealed"]


def check_books(history: History) -> None:
    """The seven categories add up to GPUs x lifetime in time and money, with nothing unattributed."""
    spent: Counter[str] = Counter()
    for row in ledger(history, "images"):
        spent[row["node_session"]] += row["usd"]
    total = Decimal(0)
    nodes = ledger(history, "nodes")
    assert {name for name, usd in spent.items() if usd} <= {node["node_session"] for node in nodes}
    for node in nodes:
        times = [node[f"{category}_nanoseconds"] for category in CATEGORIES]
        assert sum(times) == node["lifetime_gpu_nanoseconds"], node
        for unit in ("nanoseconds", "usd"):
            assert sum(node[f"{part}_{unit}"] for part in STARTUP_PARTS) == node[f"startup_{unit}"], node
        money = [node[f"{category}_usd"] for category in CATEGORIES]
        assert sum(money) == node["accrued_usd"]
        assert min(times) >= 0, node
        assert node["unattributed_nanoseconds"] == 0
        assert node["unattributed_usd"] == 0
        assert spent[node["node_session"]] == node["rendering_usd"]
        assert node["terminated_by"] != "running"
        total += node["accrued_usd"]
    status = read_status(history.store, history.job.id)
    assert status is not None
    assert status.usd == total
