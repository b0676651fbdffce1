"""What a job was planned with stands beside what it takes: in status and display while it runs, and in the report."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.stores.memory import MemoryStore
from jobs.cli import run
from jobs.freezing import freeze
from jobs.jobfile.loading import Options, load
from jobs.planning.expecting import planned
from jobs.watching.display import live_text
from jobs.watching.status import view
from jobs.watching.summary import view_text
from jobs.wiring import open_store
from pipeline.job import Settings, settings_from_json, settings_to_json
from pipeline.ledger.type_figures import Expected, TypeFigures
from pipeline.status import status_from_json, status_to_json
from tests.jobs.made_job import NOW, make_job, status_of

PLANNED = Expected(
    node_type="small",
    market="spot",
    images_per_second=0.5,
    usd_per_image=Decimal("0.002"),
    low_usd=Decimal("0.001"),
    high_usd=Decimal("0.003"),
    origin="pilot",
)
SMALL = TypeFigures(
    node_type="small",
    market="spot",
    nodes=2,
    rendered=100,
    usd=Decimal("0.25"),
    planned_usd_per_image=Decimal("0.002"),
)
LARGE = TypeFigures(node_type="large", market="spot", nodes=1, rendered=0, usd=Decimal("0.5"))


def test_plan_and_figures_come_back_from_the_store_as_they_were() -> None:
    """Money to the last digit."""
    settings = Settings(nodes=(), expected=(PLANNED,))
    assert settings_from_json(settings_to_json(settings)) == settings
    job, _ = make_job(MemoryStore())
    status = replace(status_of(job, total=3, rendered=3), types=(LARGE, SMALL))
    assert status_from_json(status_to_json(status)) == status


def test_status_and_display_show_each_type_beside_its_plan() -> None:
    """An eighth of a cent more than planned is 25 % more; a type that made nothing yet has no price."""
    job, _ = make_job(MemoryStore())
    status = replace(status_of(job, total=1000, rendered=100), types=(LARGE, SMALL))
    said = " ".join(view_text(view(job, status, now=NOW), "out").split())
    assert "small spot: $0.0025 an image, planned $0.002 (+25%), 100 images" in said
    assert "large spot: - an image, 0 images" in said
    live = live_text(status, width=200).plain
    assert "small spot: $0.0025 an image, planned $0.002 (+25%)" in live
    assert "large" not in live
    assert "an image" not in live_text(replace(status, types=(LARGE,)), width=200).plain


def test_job_on_rented_nodes_is_planned_when_it_is_submitted(tmp_path: Path) -> None:
    """From claims and arithmetic, as the store has measured nothing; a job of one's own machine has no plan."""
    (tmp_path / "p.txt").write_text("a large red circle\na small blue square\n", encoding="utf-8")
    store = open_store(str(tmp_path / "out"))
    options = Options(model="shapes", store=store.uri, assignments=("nodes=[{type: g6e.xlarge, market: spot}]",))
    with freeze(load(str(tmp_path / "p.txt"), options), environ={}, stdin=None) as frozen:
        (expected,) = planned(frozen, store).expected
    assert (expected.node_type, expected.market) == ("g6e.xlarge", "spot")
    assert 0 < expected.low_usd <= expected.usd_per_image <= expected.high_usd
    with freeze(load(str(tmp_path / "p.txt"), replace(options, assignments=())), environ={}, stdin=None) as frozen:
        assert planned(frozen, store).expected == ()


@pytest.fixture
def piloted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A job that had a pilot; runs further commands, and gives their documents."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPOTRENDER_STORE", "out")
    (tmp_path / "p.txt").write_text("\n".join(f"a house with {number} windows" for number in range(12)))
    (tmp_path / "job.yaml").write_text(
        "name: night\nmanifest: p.txt\nstore: out\nmodel: synthetic\nbatch_size: 2\n"
        "nodes: [{type: small, market: spot, max: 2, usd_per_hour: 0.5}]\n"
    )

    def told(*command: str) -> Any:
        capsys.readouterr()
        assert run([*command, "--json"]) == 0
        return json.loads(capsys.readouterr().out, parse_float=Decimal)

    told("submit", "job.yaml", "--address", "in-process", "--pilot", "2")
    return told


def test_plan_of_a_pilot_is_kept_and_the_report_says_how_far_it_was_off(
    piloted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when the job is submitted once more without a pilot."""
    again = piloted("submit", "job.yaml", "--address", "in-process", "--set", "budget.usd=50")
    (figures,) = piloted("status", "night")["types"]
    assert (figures["node_type"], figures["market"], figures["rendered"]) == ("small", "spot", 10)
    assert Decimal(figures["planned_usd_per_image"]) > 0
    planned = piloted("report", again["job"], "--format", "json")["planned"]
    assert Decimal(planned["usd_per_image"]) == Decimal(figures["planned_usd_per_image"]).quantize(Decimal("1e-9"))
    assert Decimal(planned["took_usd"]) > 0
    capsys.readouterr()
    assert run(["report", again["job"]]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"planned ${Decimal(planned['usd_per_image']):f}"[:14] in text
    assert "an image (" in text
