"""The commands on a job that is really rendered, in this process, by the stand-in renderer."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run

MANIFEST = '{"prompt": "a cat", "custom_id": "cat"}\n{"prompt": "a dog", "custom_id": "dog/1"}\n{"prompt": "a cat"}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a manifest in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.jsonl").write_text(MANIFEST)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """The JSON document that a command prints."""
    assert run([*arguments, "--store", "out", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def submitted(capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    """What `submit` says of the manifest's job."""
    arguments = ("submit", "prompts.jsonl", "--model", "synthetic", "--address", "in-process", *more)
    return told(capsys, *arguments)


def test_manifest_becomes_images_under_its_own_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Validate, submit, status, download, verify: the walk of a new user."""
    checked = told(capsys, "validate", "prompts.jsonl", "--model", "synthetic", "--images-per-prompt", "2")
    assert (checked["rows"], checked["images"], checked["distinct"]) == (3, 6, 4)
    assert not (folder / "out").exists()
    result = submitted(capsys, "--images-per-prompt", "2")
    assert result["job"] == checked["job"]
    assert (result["state"], result["rendered"], result["failed"]) == ("SUCCEEDED", 4, 0)
    assert told(capsys, "status", "prompts")["rendered"] == 4
    assert told(capsys, "download", "prompts", "--to", "mine")["fetched"] == 6
    names = {
        "cat-0.png",
        "cat-1.png",
        "dog_1-0.png",
        "dog_1-1.png",
        "000002-0.png",
        "000002-1.png",
        "index.csv",
        "index.parquet",
    }
    assert {path.name for path in (folder / "mine").iterdir()} == names
    assert told(capsys, "verify", "prompts")["sound"]


def test_second_submit_renders_nothing_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same thing twice is the same job."""
    first, again = submitted(capsys), submitted(capsys)
    assert (again["job"], again["rendered_now"]) == (first["job"], 0)
    assert "nothing to render" in again["message"]


def test_job_file_and_options_make_one_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other nodes, another budget and another way to write it are no other job."""
    (folder / "job.yaml").write_text(
        "name: prompts\nmanifest: prompts.jsonl\nstore: out\nmodel: synthetic\nbudget: {usd: 5}\n"
    )
    first = submitted(capsys)
    second = told(capsys, "submit", "job.yaml", "--address", "in-process")
    assert (second["job"], second["rendered_now"]) == (first["job"], 0)


@pytest.mark.parametrize("damage", ["removed", "cut off"])
def test_repaired_image_is_rendered_again(folder: Path, capsys: pytest.CaptureFixture[str], damage: str) -> None:
    """What verify takes back, submit makes good, under the same key and with the same bytes."""
    submitted(capsys)
    path = next((folder / "out/images").rglob("*.png"))
    body = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(body[:100])
    assert len(told(capsys, "verify", "prompts", "--repair", code=3)["voided"]) == 1
    assert told(capsys, "status", "prompts")["state"] == "STOPPED"
    assert submitted(capsys)["state"] == "SUCCEEDED"
    assert told(capsys, "verify", "prompts")["sound"]
    assert path.read_bytes() == body


def test_all_problems_of_a_manifest_are_told_with_their_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written, and a script gets them as JSON too."""
    (folder / "prompts.jsonl").write_text('{"prompt": ""}\n{"prompt": "x", "sed": 1}\n')
    error = told(capsys, "submit", "prompts.jsonl", "--model", "synthetic", code=2)["error"]
    assert "prompts.jsonl:1: prompt is empty" in error
    assert 'prompts.jsonl:2: unknown field "sed": did you mean seed?' in error
    assert not (folder / "out").exists()


def test_job_is_delivered_at_its_end_and_stays_the_same_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the names of the job file; a resubmit finds it done, and `deliver` looks again."""
    (folder / "job.yaml").write_text(
        "name: prompts\nmanifest: prompts.jsonl\nstore: out\nmodel: synthetic\n"
        "deliver: {to: shop, names: '{prompt}-{row}.{ext}'}\n"
    )
    first = submitted(capsys)
    assert not (folder / "shop").exists()
    second = told(capsys, "submit", "job.yaml", "--address", "in-process")
    assert (second["job"], second["rendered_now"]) == (first["job"], 0)
    names = {"a-cat-000000.png", "a-dog-000001.png", "a-cat-000002.png", "index.csv", "index.parquet"}
    assert {path.name for path in (folder / "shop").iterdir()} == names
    (folder / "shop/a-dog-000001.png").unlink()
    told(capsys, "submit", "job.yaml", "--address", "in-process")
    assert not (folder / "shop/a-dog-000001.png").exists()
    assert told(capsys, "deliver", "prompts")["fetched"] == 1


def test_links_to_a_folder_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only buckets give them; and none for longer than S3 allows."""
    submitted(capsys)
    assert "is no bucket" in told(capsys, "download", "prompts", "--to", "mine", "--links", "1h", code=2)["error"]
    assert "7 days" in told(capsys, "download", "prompts", "--to", "mine", "--links", "8d", code=2)["error"]
    assert not (folder / "mine").exists()
