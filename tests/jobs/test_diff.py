"""`diff`: what an edited manifest would render anew, by the store's own images and its own figures."""

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run

COLOURS = ("red", "green", "blue")


def manifest(path: Path, colours: Iterable[str]) -> str:
    """A manifest of a circle in each colour."""
    path.write_text("".join(json.dumps({"prompt": f"a {colour} circle"}) + "\n" for colour in colours))
    return str(path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a job that was rendered, `old`, and a manifest that differs from it in one row more."""
    old = manifest(tmp_path / "old.jsonl", COLOURS)
    manifest(tmp_path / "new.jsonl", (*COLOURS[:2], "black", "white"))
    options = ["--model", "synthetic", "--store", str(tmp_path / "out")]
    assert run(["submit", old, *options, "--address", "in-process", "--json"]) == 0
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """What a command says as JSON."""
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_diff_tells_what_is_new_kept_and_dropped(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside a job of the store, or beside its manifest, the answer is the same; only new rows would be rendered."""
    options = ("--model", "synthetic", "--store", str(place / "out"))
    told(capsys, "validate", str(place / "new.jsonl"), *options)
    for old in ("old", str(place / "old.jsonl")):
        found = told(capsys, "diff", old, str(place / "new.jsonl"), "--show", "9", *options)
        assert {key: found[key] for key in ("kept", "added", "dropped", "there")} == {
            "kept": 2,
            "added": 2,
            "dropped": 1,
            "there": 2,
        }
        assert [one["prompt"] for one in found["requests"]] == ["a black circle", "a white circle"]
        assert found["estimate"]["images"] == 2
    assert told(capsys, "diff", str(place / "new.jsonl"), "old", *options)["estimate"] == {
        "images": 0,
        "usd": 0,
        "unknown": 0,
    }


def test_cost_is_what_such_images_have_cost_here(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As much for each image as the report says, fully loaded; of other sizes nothing is known, and that is said."""
    options = ("--model", "synthetic", "--store", str(place / "out"))
    report = told(capsys, "report", "--store", str(place / "out"))
    each = Decimal(str(report["total"]["usd"])) / 3
    found = told(capsys, "diff", "old", str(place / "new.jsonl"), *options)["estimate"]
    assert found["unknown"] == 0
    assert abs(Decimal(str(found["usd"])) - 2 * each) < Decimal("1e-8")
    wider = told(capsys, "validate", str(place / "new.jsonl"), "--cost", "--set", "width=256", *options)["estimate"]
    assert wider == {"images": 4, "usd": None, "unknown": 4}
    assert run(["diff", "old", str(place / "new.jsonl"), "--set", "width=256", *options]) == 0
    assert "unknown: this store has no figures of such images yet" in capsys.readouterr().out


def test_another_form_of_file_keeps_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A PNG is no WebP: all is rendered again."""
    options = ("--model", "synthetic", "--store", str(place / "out"), "--set", "output.format=webp")
    found = told(capsys, "diff", "old", str(place / "old.jsonl"), *options)
    assert (found["kept"], found["there"], found["estimate"]["images"]) == (0, 0, 3)


def test_diff_refuses_what_it_cannot_read(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that is not there, a file that is not there: exit 2, with the nearest name."""
    options = ("--model", "synthetic", "--store", str(place / "out"))
    assert "holds no job" in told(capsys, "diff", "odl", str(place / "new.jsonl"), *options, code=2)["error"]
    missing = told(capsys, "diff", "old", str(place / "nwe.jsonl"), *options, code=2)["error"]
    assert 'there is no such file, did you mean "new.jsonl"?' in missing
