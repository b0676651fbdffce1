"""A job of the demo model: its pictures are those of a run that nobody disturbed, byte for byte."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

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
from tests.chaos.test_stand_in import EXPLAINED

COUNTS = {
    "raylet killed": 2,
    "worker killed": 2,
    "worker stopped": 1,
    "driver killed": 2,
    "notice 30 s": 1,
    "notice 2 s": 1,
    "store slow": 1,
}
"""10 events."""

BATCH = 4
BATCHES = 48
COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("circle", "square", "triangle")


def test_pictures_are_those_of_an_undisturbed_run(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of one profile, all there, all with the same bytes as in peace."""
    events = script(seed, COUNTS)
    manifest = tmp_path / "prompts.jsonl"
    prompts = [
        {"prompt": f"a large {COLOURS[n % 4]} {SHAPES[n % 3]} on a black background", "seed": n}
        for n in range(BATCH * BATCHES)
    ]
    manifest.write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    with stage(tmp_path) as place:

        def job(prefix: str) -> list[str]:
            values = {"manifest": str(manifest), "store": place.server.uri(prefix), "model": "shapes"}
            return [job_file(tmp_path / f"{prefix}.yaml", values | {"batch_size": BATCH})]

        place.undisturbed(job("peace"))
        in_peace = OutsideView(place.server, "peace")
        view = OutsideView(place.server, "chaos")
        happened, result = place.perform(job("chaos"), events, view, batches=BATCHES)
        with capsys.disabled():
            tell("demo model", seed, happened)
        wanted = {row["image_id"] for row in in_peace.requests()}
        assert (result["state"], result["total"], len(wanted)) == ("SUCCEEDED", len(prompts), len(prompts))
        assert_every_image_is_there(view, wanted)
        assert_each_is_counted_once(view)
        assert_books_balance(view, usd_per_hour=Decimal(PRICE))
        assert_retries_are_explained(view, by=EXPLAINED)
        assert hashes_by_profile(view) == hashes_by_profile(in_peace)
