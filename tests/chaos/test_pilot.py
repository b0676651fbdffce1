"""`submit --pilot` on a real cluster of two types of nodes, told apart by their labels: each is measured on itself."""

import json
from pathlib import Path

from infra.compute.local_cluster import local_cluster
from infra.compute.ray_demand import node_labels
from infra.stores.local import LocalStore
from pipeline.reports.ledger import open_ledger
from tests.chaos.command import command

ROWS = 24
PILOT = 4


def test_pilot_measures_each_type_of_node_on_its_own_nodes(tmp_path: Path) -> None:
    """The quote rests on both; a limit that is too low stops before the job; a higher one takes the pilot over."""
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": f"house {row}"}) + "\n" for row in range(ROWS)))
    nodes = [
        {"type": "small", "market": "spot", "max": 1, "usd_per_hour": 0.5, "gpu": "cpu"},
        {"type": "large", "market": "spot", "max": 1, "usd_per_hour": 2, "gpu": "cpu"},
    ]
    values = {
        "name": "night",
        "manifest": str(tmp_path / "p.jsonl"),
        "store": str(tmp_path / "out"),
        "model": "synthetic",
        "model_options": {"seconds_per_batch": 0.2},
        "batch_size": 2,
        "nodes": nodes,
    }
    job = tmp_path / "job.yaml"
    job.write_text(json.dumps(values))
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    with local_cluster(environment=environment) as cluster:
        for name in ("small", "large"):
            cluster.add(labels=node_labels(name, "spot"))
        cluster.settle()
        submit = ["submit", str(job), "--address", cluster.address, "--pilot", str(PILOT)]
        with command([*submit, "--max-usd-per-image", "0"], environment=environment) as driver:
            code, stopped = driver.end()
        assert (code, stopped["state"], stopped["rendered"]) == (4, "STOPPED", 2 * PILOT), driver.stderr()[-3000:]
        assert "measured" in stopped["message"]
        with command([*submit, "--max-usd-per-image", "10"], environment=environment) as driver:
            code, result = driver.end()
        assert (code, result["rendered"], result["reused"]) == (0, ROWS - 2 * PILOT, 2 * PILOT), driver.stderr()[-3000:]
    types = _types_by_job(tmp_path / "out")
    assert types.pop("night") <= {"small", "large"}
    assert types == {"night-pilot-1": {"small"}, "night-pilot-2": {"large"}}
    quoted = result["quoted_usd_per_image"]
    assert 0 < float(quoted["low"]) <= float(quoted["middle"]) <= float(quoted["high"])


def _types_by_job(store: Path) -> dict[str, set[str]]:
    """On which types of nodes the images of each job were rendered, as the ledger says."""
    found: dict[str, set[str]] = {}
    with open_ledger(LocalStore(str(store))) as ledger:
        for row in ledger.rows("SELECT DISTINCT job, node_type FROM images WHERE outcome = 'rendered'"):
            found.setdefault(row["job"].rpartition("-")[0], set()).add(row["node_type"])
    return found
