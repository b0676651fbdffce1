"""`submit --pilot`: some images first, committed for good; a quote from them; the job within its limits, or exit 4."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run
from jobs.submit import SubmitResult
from jobs.watching.summary import submitted_text
from pipeline.estimates.quote import Dollars
from pipeline.job import JobState

ROWS = [{"prompt": f"a house with {number} windows", "steps": 9 if number == 5 else 4} for number in range(12)]
COMMAND = ["submit", "job.yaml", "--address", "in-process", "--json"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job of two types of nodes, which one worker in this process stands for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS) + "\n")
    (tmp_path / "job.yaml").write_text(
        "name: night\nmanifest: p.jsonl\nstore: out\nmodel: synthetic\nbatch_size: 2\n"
        "model_options: {seconds_per_batch: 0.01}\n"
        "nodes: [{type: small, market: spot, max: 2, usd_per_hour: 0.5}, {type: large, max: 2, usd_per_hour: 2}]\n"
    )
    return tmp_path


def submitted(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, document and stderr of a submit."""
    capsys.readouterr()
    code = run([*COMMAND, *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


def jobs_in(folder: Path) -> set[str]:
    """Names of the jobs in the store."""
    return {path.name.rsplit("-", 1)[0] for path in (folder / "out" / "jobs").iterdir()}


def prompts_of(folder: Path, name: str) -> list[str]:
    """What a job renders."""
    import pyarrow.parquet as pq

    (file,) = (folder / "out" / "jobs").glob(f"{name}-*/requests/*.parquet")
    return [str(prompt) for prompt in pq.read_table(file)["prompt"].to_pylist()]


def test_pilot_within_the_limit_goes_on_and_its_images_count(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two images on each of two types, then the job: all twelve images are there and none was rendered twice."""
    code, result, said = submitted(capsys, "--pilot", "2", "--max-usd-per-image", "10")
    assert code == 0
    assert (result["total"], result["rendered"], result["reused"]) == (12, 8, 4)
    assert jobs_in(here) == {"night", "night-pilot-1", "night-pilot-2"}
    assert "the pilot made 4 images" in said
    assert "the other 8 are expected at $" in said
    assert "measured" in said
    quoted = result["quoted_usd_per_image"]
    assert 0 < quoted["low"] <= quoted["middle"] <= quoted["high"]
    piloted = [*prompts_of(here, "night-pilot-1"), *prompts_of(here, "night-pilot-2")]
    assert len(set(piloted)) == 4
    assert {ROWS[0]["prompt"], ROWS[-1]["prompt"], ROWS[5]["prompt"]} <= set(piloted)
    code, result, said = submitted(capsys, "--pilot", "2", "--max-usd-per-image", "0")
    assert (code, result["rendered_now"]) == (0, 0)
    assert "the pilot made" not in said


def test_pilot_that_is_too_dear_stops_and_can_be_resumed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4 with the quote, the job not begun; with a higher limit the same pilot serves and renders nothing."""
    code, result, _ = submitted(capsys, "--pilot", "2", "--max-usd-per-image", "0")
    assert (code, result["state"], result["total"], result["rendered"]) == (4, "STOPPED", 12, 4)
    assert "submit it again with a higher limit" in result["message"]
    assert "the other 8 are expected at $" in result["message"]
    assert jobs_in(here) == {"night-pilot-1", "night-pilot-2"}
    images = len(list((here / "out" / "images").rglob("*.png")))
    assert images == 4
    code, result, _ = submitted(capsys, "--pilot", "2")
    assert (code, result["rendered"], result["reused"]) == (0, 8, 4)
    assert jobs_in(here) == {"night", "night-pilot-1", "night-pilot-2"}


def test_budget_of_the_job_is_a_limit_and_is_told_a_person(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`budget:` in the job file stops a pilot as the option does; without --json the quote is text."""
    command = ["submit", "job.yaml", "--address", "in-process", "--pilot", "1", "--set", "budget.usd_per_image=1e-9"]
    assert run(command) == 4
    text = capsys.readouterr().out
    assert "STOPPED before it began" in text
    assert "dearer than" in text


def test_pilot_without_nodes_in_time_says_that_nothing_can_be_priced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where no node of any type came: exit code 4, nothing begun, and the remedy."""
    code, result, _ = submitted(capsys, "--pilot", "1", "--set", "deadline=2000-01-01T00:00:00+00:00")
    assert (code, result["state"], result["rendered"]) == (4, "STOPPED", 0)
    assert "no type of node can be priced; submit it again" in result["message"]
    assert jobs_in(here) == {"night-pilot-1", "night-pilot-2"}


def test_end_says_how_far_the_quote_was_off() -> None:
    """Expected a tenth of a cent, it took an eighth more."""
    each = Dollars(middle=Decimal("0.001"), low=Decimal("0.0008"), high=Decimal("0.0012"))
    result = SubmitResult(
        job="night-0123456789abcdef",
        state=JobState.SUCCEEDED,
        store="out",
        total=8,
        rendered=8,
        reused=0,
        failed=0,
        seconds=1.0,
        usd=Decimal("0.009"),
        spent={},
        report="",
        rendered_now=8,
        message="",
        warnings=(),
        quoted_usd_per_image=each,
    )
    text = " ".join(submitted_text(result, []).split())
    assert "quoted $0.001 an image ($0.0008 to $0.0012); it took $0.00112, +12%" in text


def test_images_of_one_prompt_and_small_manifests(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a prompt's images the first is taken; a pilot larger than the manifest makes all of it."""
    one = ["--set", "nodes=[{type: small, max: 2, usd_per_hour: 0.5}]"]
    code, result, said = submitted(capsys, "--pilot", "3", "--images-per-prompt", "2", *one)
    assert (code, result["total"], result["rendered"], result["reused"]) == (0, 24, 21, 3)
    code, result, said = submitted(capsys, "--pilot", "50", "--set", "steps=7", "--name", "other", *one)
    assert (code, result["total"]) == (0, 12)
    assert "nothing is left to render" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["job.yaml", "--pilot", "0"], "--pilot"),
        (["job.yaml", "--max-usd-per-image", "1"], "--max-usd-per-image: only with --pilot"),
        (["job.yaml", "--pilot", "2", "--max-usd-per-image", "little"], "--max-usd-per-image: must be an amount"),
        (["job.yaml", "--pilot", "2", "--detach"], "--pilot: waits for its images"),
        (["-", "--model", "synthetic", "--store", "out", "--pilot", "2"], "--pilot: a manifest from stdin"),
        (["none.jsonl", "--model", "synthetic", "--store", "out", "--pilot", "2"], "none.jsonl"),
    ],
)
def test_bad_input_is_one_error(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Exit code 2, and nothing written."""
    assert run(["submit", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (here / "out" / "jobs").exists()
