"""A job of the stand-in renderer, through everything that a spot cluster and a store do to it."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.chaos.manifest import write_manifest
from tests.chaos.outside import OutsideView
from tests.chaos.promises import (
    assert_books_balance,
    assert_each_is_counted_once,
    assert_every_image_is_there,
    assert_retries_are_explained,
    hashes_by_profile,
)
from tests.chaos.script import script
from tests.chaos.stage import PRICE, job_file, stage
from tests.chaos.telling import tell

COUNTS = {
    "raylet killed": 6,
    "worker killed": 7,
    "worker stopped": 4,
    "worker stopped long": 1,
    "driver killed": 4,
    "notice 30 s": 1,
    "notice 2 s": 4,
    "store away": 1,
    "store slow": 2,
}
"""30 events."""

BATCH = 4
BATCHES = 320

EXPLAINED = {"PREEMPTED", "HANDED_BACK", "INFRASTRUCTURE", "STORE_UNAVAILABLE"}
"""What an attempt may end as here: nothing is wrong with any request, and nothing is too large."""


def test_job_keeps_every_promise_through_thirty_events(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every image there and counted once, the books balanced to the nano-dollar, every retry with its cause."""
    events = script(seed, COUNTS)
    assert len(events) >= 30
    wanted = write_manifest(tmp_path / "prompts.jsonl", prompts=BATCH * BATCHES)
    with stage(tmp_path) as place:
        view = OutsideView(place.server, "renders")
        values = {
            "manifest": str(tmp_path / "prompts.jsonl"),
            "store": place.server.uri("renders"),
            "model": "synthetic",
            "model_options": {"seconds_per_batch": 1},
            "batch_size": BATCH,
        }
        happened, result = place.perform([job_file(tmp_path / "job.yaml", values)], events, view, batches=BATCHES)
        with capsys.disabled():
            tell("stand-in", seed, happened)
        assert (result["state"], result["total"], result["failed"]) == ("SUCCEEDED", len(set(wanted.values())), 0)
        assert_every_image_is_there(view, set(wanted.values()))
        assert_each_is_counted_once(view)
        assert_books_balance(view, usd_per_hour=Decimal(PRICE))
        assert_retries_are_explained(view, by=EXPLAINED)
        assert len(hashes_by_profile(view)) == len(set(wanted.values()))
        assert view.drivers() == 1 + COUNTS["driver killed"]
        ended = [session["terminated_by"] for session in view.nodes_ledger()]
        assert {"reclaimed", "lost", "released"} >= set(ended) >= {"reclaimed", "lost"}, json.dumps(ended)
