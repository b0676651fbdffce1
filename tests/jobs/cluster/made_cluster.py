"""A job file for clusters, and what `cluster render` makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.cli import run

NODES = """
  - {type: g6e.xlarge, market: on_demand, max: 2}
  - {type: g6e.xlarge, market: spot, max: 8}
  - {type: g7e.2xlarge, market: spot, max: 4}
"""


def job_file(folder: Path, *, nodes: str = NODES, more: str = "") -> Path:
    """A job file with its manifest beside it."""
    (folder / "p.jsonl").write_text('{"prompt": "a house"}\n')
    place = folder / "job.yaml"
    place.write_text(
        f"name: autumn\nmanifest: p.jsonl\nstore: s3://acme/renders\nmodel: sdxl\nnodes: {nodes or '[]'}\n{more}"
    )
    return place


def rendered(capsys: pytest.CaptureFixture[str], job: Path, target: str, *options: str) -> Any:
    """The document of `spotrender cluster render`."""
    capsys.readouterr()
    assert run(["cluster", "render", str(job), "--target", target, *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], job: Path, target: str, *options: str) -> str:
    """What a command that must be mended says."""
    capsys.readouterr()
    assert run(["cluster", "render", str(job), "--target", target, *options]) == 2
    return capsys.readouterr().err


def cluster_yaml(folder: Path) -> Any:
    """The cluster file in a folder, as YAML's safe loader reads it."""
    return yaml.safe_load((folder / "cluster.yaml").read_text())
