"""`spotrender plan`: every type of node priced, from the ledger where it can be, and nothing written."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from jobs.cli import run
from jobs.jobfile.loading import Options, load
from jobs.planning.planning import plan_job

ROWS = [{"prompt": f"a house with {number} windows"} for number in range(8)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest; the hub is out of reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS) + "\n")
    return tmp_path


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The document of `spotrender plan`."""
    capsys.readouterr()
    assert run(["plan", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_float=Decimal)


def test_model_of_the_hub_is_planned_without_the_hub(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the catalogue, which is said; cheapest first; every figure with its origin; and nothing is written."""
    found = planned(capsys, "p.jsonl", "--model", "sdxl", "--store", "out", "--images-per-prompt", "1000")
    assert (found["images"], found["there"], found["render"]) == (8000, 0, 8000)
    rows = found["rows"]
    assert [row["quote"]["usd"]["middle"] for row in rows] == sorted(row["quote"]["usd"]["middle"] for row in rows)
    assert {row["node_type"] for row in rows} >= {"g6.xlarge", "g6e.xlarge", "p5.48xlarge"}
    assert all(row["batch"] >= 1 for row in rows)
    assert {row["quote"]["origin"] for row in rows} <= {"published", "estimated"}
    assert found["chosen"] == found["cheapest"] == rows[0]
    assert any("Planned by what the catalogue says of sdxl" in note for note in found["notes"])
    assert [path.name for path in here.iterdir()] == ["p.jsonl"]


def test_named_nodes_are_the_only_ones_and_the_deadline_chooses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two types the cheaper one is too slow for the deadline; of none, that is said too."""
    (here / "job.yaml").write_text(
        "name: night\nmanifest: p.jsonl\nstore: out\nmodel: sdxl\nimages_per_prompt: 1000\n"
        "nodes: [{type: g6e.xlarge, market: spot, max: 1}, {type: p5.48xlarge, market: on_demand, max: 2}]\n"
    )
    slow = planned(capsys, "job.yaml")
    assert [row["node_type"] for row in slow["rows"]] == ["g6e.xlarge", "p5.48xlarge"]
    assert slow["chosen"]["node_type"] == "g6e.xlarge"
    hours = [row["quote"]["hours"]["middle"] for row in slow["rows"]]
    job_file = load("job.yaml", Options(assignments=("deadline=2026-11-22T00:00:00+00:00",)))
    for left, chosen in ((float(hours[0]) + 1, "g6e.xlarge"), (float(hours[0]) / 2, "p5.48xlarge")):
        assert job_file.deadline is not None
        plan = plan_job(job_file, now=job_file.deadline - timedelta(hours=left))
        assert plan.in_time is not None
        assert plan.in_time.node_type == plan.chosen.node_type == chosen  # type: ignore[union-attr]
    plan = plan_job(job_file, now=job_file.deadline)
    assert plan.in_time is None
    assert run(["plan", "job.yaml", "--set", "deadline=2000-01-01T00:00:00+00:00"]) == 0
    assert "makes the deadline: none of them" in capsys.readouterr().out


def test_what_was_measured_here_is_trusted_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a job on this machine the plan of more such images rests on its ledger, and what is there costs nothing."""
    submit = ["submit", "p.jsonl", "--store", "out", "--address", "in-process", "--batch-size", "2"]
    assert run([*submit, "--model", "synthetic", "--set", "model_options.seconds_per_batch=0.05"]) == 0
    again = ["p.jsonl", "--store", "out", "--model", "synthetic", "--set", "model_options.seconds_per_batch=0.05"]
    assert planned(capsys, *again)["render"] == 0
    more = planned(capsys, *again, "--images-per-prompt", "3")
    assert (more["images"], more["there"], more["render"]) == (24, 8, 16)
    (row,) = more["rows"]
    assert (row["node_type"], row["quote"]["origin"]) == ("local", "measured")
    assert 5 < row["quote"]["images_per_hour"]["middle"] / 3600 <= 40
    assert "8 images" in row["basis"]
    assert {one["node_type"] for one in more["unquoted"]} >= {"g6.xlarge", "p5.48xlarge"}


def test_card_that_is_too_small_is_left_out_with_what_would_do(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FLUX does not fit 24 GB in bf16, and a T4 has no bf16 at all; both are said, with the remedy."""
    found = planned(capsys, "p.jsonl", "--model", "black-forest-labs/FLUX.1-dev", "--store", "out")
    why = {one["node_type"]: one["why"] for one in found["unquoted"]}
    assert "does not fit L4: denoiser" in why["g6.xlarge"]
    assert "offload" in why["g6.xlarge"]
    assert "bf16" in why["g4dn.xlarge"]
    assert "g6.xlarge" not in {row["node_type"] for row in found["rows"]}
    assert "p5.4xlarge" in {row["node_type"] for row in found["rows"]}


def test_table_fits_a_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No column is cut off in 80 columns, with many nodes and large sums."""
    capsys.readouterr()
    assert (
        run(["plan", "p.jsonl", "--model", "sdxl", "--store", "out", "--images-per-prompt", "5000", "--nodes", "100"])
        == 0
    )
    text = capsys.readouterr().out
    table = [line for line in text.splitlines() if line.endswith((" claims", " peak"))]
    assert len(table) > 20
    assert max(map(len, table)) <= 80
    assert "…" not in text
    assert "cheapest: " in text
    assert "fastest: " in text


def test_nodes_of_ones_own_are_planned_by_their_card(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With `gpu:` the catalogue knows how fast they are; without, the remedy is told in lines that fit, and no more."""
    job = ["p.jsonl", "--model", "sdxl", "--store", "out"]
    found = planned(capsys, *job, "--set", "nodes=[{type: my-box, usd_per_hour: 0.4, gpu: L4}]")
    (row,) = found["rows"]
    assert (row["node_type"], row["quote"]["origin"], str(row["usd_per_hour"])) == ("my-box", "published", "0.4")
    assert row["batch"] >= 1
    assert run(["plan", *job, "--set", "nodes=[{type: my-box, usd_per_hour: 0.4}]"]) == 0
    text = capsys.readouterr().out
    assert "no type of node can be priced; see below" in text
    assert "submit --pilot 16 measures it" in " ".join(text.split())
    assert "nine times" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_other_ways_stand_beside_the_plan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service wins for few images, a card where it pays, and each says what a month and an image cost."""
    job = ["p.jsonl", "--model", "sdxl", "--store", "out", "--images-per-prompt", "1000", "--compare"]
    nodes = "nodes=[{type: p5.4xlarge, market: on_demand, max: 4}]"
    assert "alternatives" in planned(capsys, *job[:-1])
    found = planned(capsys, *job, "--set", nodes)
    rows = found["alternatives"]["rows"]
    ways = {row["way"]: row for row in rows}
    assert set(ways) == {"plan", "on_demand", "serverless", "api", "own_card"}
    assert [row["usd"]["middle"] for row in rows] == sorted(row["usd"]["middle"] for row in rows)
    plan = ways["plan"]
    assert (plan["name"], plan["usd"]) == ("p5.4xlarge", found["chosen"]["quote"]["usd"])
    for row in rows:
        assert row["usd"]["low"] <= row["usd"]["middle"] <= row["usd"]["high"]
        assert row["source"]
    service, card = ways["api"], ways["own_card"]
    assert service["wins"]["least"] == 1
    assert 1 <= service["wins"]["most"] < 8000
    assert card["wins"]["least"] > 1
    assert card["wins"]["most"] == card["monthly"]["most_images"]
    assert card["break_even_hours"] > 0
    dear = planned(capsys, *job, "--set", nodes, "--usd-per-kwh", "20")
    assert next(row for row in dear["alternatives"]["rows"] if row["way"] == "own_card")["break_even_hours"] is None


def test_plan_that_is_on_demand_is_not_compared_with_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a spot plan the same type on demand is a row; of the cheapest type on demand nothing is said twice."""
    job = ["p.jsonl", "--model", "sdxl", "--store", "out", "--images-per-prompt", "100", "--compare"]

    def on_demand(nodes: str) -> list[str]:
        rows = planned(capsys, *job, "--set", f"nodes=[{nodes}]")["alternatives"]["rows"]
        return [row["name"] for row in rows if row["way"] == "on_demand"]

    assert set(on_demand("{type: g6e.xlarge, market: spot}")) > {"g6e.xlarge"}
    (cheapest,) = on_demand("{type: g6e.xlarge, market: on_demand}")
    assert on_demand(f"{{type: {cheapest}, market: on_demand}}") == []


def test_other_ways_fit_a_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """80 columns, with large sums and cards that are too small too."""
    capsys.readouterr()
    job = ["plan", "p.jsonl", "--model", "flux-dev", "--store", "out", "--images-per-prompt", "10000"]
    assert run([*job, "--compare", "--nodes", "100"]) == 0
    text = capsys.readouterr().out
    table = text[text.index("  way ") : text.index("not in the table")]
    assert "wins: costs less than the plan (>)" in table
    assert "not compared, as it cannot be rendered there" in table
    assert max(map(len, table.splitlines())) <= 80
    assert "\u2026" not in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.jsonl", "--model", "sdxl"], "none.jsonl: there is no such file"),
        (["p.jsonl", "--model", "sdlx"], 'did you mean "sdxl"'),
        (["p.jsonl", "--model", "acme/private"], "and the hub does not answer ("),
        (["p.jsonl", "--model", "acme/private"], "without that these can be planned, by what the catalogue says"),
        (["p.jsonl", "--model", "sdxl", "--set", "nodes=[{type: g6e.xlrge}]"], "g6e.xlarge"),
        (["p.jsonl", "--model", "sdxl", "--nodes", "0"], "--nodes"),
        (["p.jsonl", "--model", "sdxl", "--compare", "--usd-per-kwh", "cheap"], "--usd-per-kwh: must be an amount"),
    ],
)
def test_bad_input_is_one_error(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Exit code 2, the place and the remedy, and nothing written."""
    capsys.readouterr()
    assert run(["plan", *arguments, "--store", "out"]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["p.jsonl"]
