"""`spotrender cluster render`: the cost comes first, nothing is written unasked, and nobody's file is replaced."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from infra.compute.ray_demand import demands
from jobs.cli import run
from jobs.cluster.table import TARGETS, target
from jobs.cluster.target import Pool
from jobs.profiles import node_types
from pipeline.job import NodeOffer
from tests.jobs.cluster.made_cluster import NODES, job_file, refused, rendered


@pytest.mark.parametrize("kind", TARGETS)
def test_every_target_prices_its_nodes_and_writes_nothing_unasked(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sum of the lines is the price an hour at most; each line says where its price comes from."""
    found = rendered(capsys, job_file(tmp_path), kind)
    lines = found["lines"]
    total = sum(Decimal(str(line["usd_per_hour"])) * line["count"] for line in lines)
    assert round(total, 6) == round(Decimal(str(found["most_usd_per_hour"])), 6)
    assert all(line["price_source"] for line in lines)
    assert {("g6e.xlarge", "spot", 8), ("g7e.2xlarge", "spot", 4), ("g6e.xlarge", "on_demand", 2)} <= {
        (line["name"], line["market"], line["count"]) for line in lines
    }
    assert (found["folder"], sorted(path.name for path in tmp_path.iterdir())) == ("", ["job.yaml", "p.jsonl"])


@pytest.mark.parametrize("kind", TARGETS)
def test_every_target_resolves_to_a_function(kind: str) -> None:
    """The table names what is there."""
    assert callable(target(kind))


def test_the_cost_stands_in_the_first_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person reads what it costs before anything else, within 80 columns."""
    assert run(["cluster", "render", str(job_file(tmp_path)), "--target", "aws"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "autumn on aws: at most $18.58 an hour"
    assert max(map(len, shown)) <= 80
    assert shown[-1].startswith("nothing is written")


def test_rendering_again_replaces_own_files_and_no_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of an earlier call is replaced; one of somebody else makes the call fail before it writes."""
    job, folder = job_file(tmp_path), tmp_path / "cluster"
    for _ in range(2):
        assert rendered(capsys, job, "aws", "--to", str(folder))["folder"] == str(folder)
    assert [path.name for path in folder.iterdir()] == ["cluster.yaml"]
    (folder / "cluster.yaml").write_text("cluster_name: mine\n")
    assert "is not of an earlier `cluster render`" in refused(capsys, job, "aws", "--to", str(folder))
    assert (folder / "cluster.yaml").read_text() == "cluster_name: mine\n"


def test_unknown_targets_and_options_are_refused_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every refusal names the option and what would do."""
    job = job_file(tmp_path)
    assert 'did you mean "aws"' in refused(capsys, job, "awz")
    assert "KEY=VALUE" in refused(capsys, job, "aws", "--with", "region")
    assert "is there twice" in refused(capsys, job, "aws", "--with", "region=a", "--with", "region=b")
    several = refused(capsys, job, "aws", "--with", "amy=ami-1", "--with", "disk_gib=3")
    assert 'did you mean "ami"' in several
    assert "disk_gib: must be a whole number from 20 to 16000" in several


def test_job_without_nodes_gets_the_plans_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan chooses among the target's own types, and that is said."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    job = job_file(tmp_path, nodes="")
    found = rendered(capsys, job, "aws", "--store", str(tmp_path / "out"), "--nodes", "3")
    assert any("the plan's choice is" in note for note in found["notes"])
    assert node_types()[found["lines"][1]["name"]].provider == "aws"


def test_labels_of_a_pool_meet_what_the_job_asks_for() -> None:
    """The selectors of a job's workers fit the labels that the cluster gives their nodes, and no others."""
    kinds = [("g6e.xlarge", "spot"), ("g6e.xlarge", "on_demand"), ("g5.xlarge", "spot")]
    pools = {
        (kind, market): Pool(
            type=kind,
            market=market,
            max=1,
            usd_per_hour=Decimal(1),
            price_source="",
            provider="aws",
            gpu="L40S",
            gpus=1,
            region="",
            zones=(),
        ).labels
        for kind, market in kinds
    }
    offers = tuple(NodeOffer(type=kind, market=market, max=1, gpu="L40S") for kind, market in kinds)
    for demand in demands(offers, cpus_per_worker=1, machine_has_gpu=False):
        met = {key for key, labels in pools.items() if all(_meets(labels, *one) for one in demand.labels.items())}
        assert met == {(demand.offer.type, demand.offer.market)}


def _meets(labels: Mapping[str, str], key: str, wanted: str) -> bool:
    """Ray's reading of one label of a selector."""
    return labels.get(key) != wanted[1:] if wanted.startswith("!") else labels.get(key) == wanted


def test_offers_that_differ_in_zone_are_one_pool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their nodes add up, and the dearer price counts."""
    nodes = NODES + "  - {type: g6e.xlarge, market: spot, max: 3, usd_per_hour: 1.4, zone: us-east-1b}\n"
    (line,) = [
        line
        for line in rendered(capsys, job_file(tmp_path, nodes=nodes), "aws")["lines"]
        if (line["name"], line["market"]) == ("g6e.xlarge", "spot")
    ]
    assert (line["count"], line["usd_per_hour"]) == (11, 1.4)
