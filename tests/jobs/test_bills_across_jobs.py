"""An instance that two jobs of a store use is billed once, by what the two really did."""

import itertools
import json
import math
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.stores.local import LocalStore
from jobs.cli import run
from jobs.reporting.report import reported

_PRICE = 36
"""Dollars an hour: a cent a second."""


def submit(folder: Path, name: str) -> None:
    """One job on an instance of AWS, its worker a thread here."""
    (folder / f"{name}.txt").write_text(f"a {name} fox\n")
    job_file = {
        "name": name,
        "manifest": f"{name}.txt",
        "store": str(folder / "store"),
        "model": "synthetic",
        "nodes": [{"type": "attic.small", "market": "spot", "usd_per_hour": _PRICE, "provider": "aws"}],
    }
    (folder / f"{name}.yaml").write_text(json.dumps(job_file))
    assert run(["submit", str(folder / f"{name}.yaml"), "--address", "in-process"]) == 0


def test_second_job_on_an_instance_does_not_pay_the_minimum_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS bills a minute at least: the first job pays it, and the second only what goes beyond."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("infra.compute.in_process.secrets", SimpleNamespace(token_hex=lambda _bytes: "instance"))
    submit(tmp_path, "first")
    submit(tmp_path, "second")
    store = LocalStore(str(tmp_path / "store"))
    with reported(store) as made:
        rows = made.ledger.rows("SELECT * FROM sessions ORDER BY started_at")
    assert len(rows) == 2
    assert {(row["provider"], row["terminated_by"]) for row in rows} == {("aws", "released")}
    assert len({row["node_id"] for row in rows}) == 1
    minimum = Decimal(_PRICE) / 60
    seconds = math.ceil((rows[1]["ended_at"] - rows[0]["started_at"]).total_seconds())
    assert rows[0]["billable_usd"] >= minimum
    billed = sum(row["billable_usd"] for row in rows)
    assert minimum <= billed <= max(minimum, minimum * seconds / 60)
    for one, other in itertools.pairwise(rows):  # each job accrues its own seconds, and no other's
        assert one["ended_at"] <= other["started_at"]
