"""The cluster file for EC2, read by Ray's own schema and loader."""

from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.util import prepare_config, validate_config

from jobs.cli import run
from tests.jobs.cluster.made_cluster import cluster_yaml, job_file


@pytest.fixture
def config(tmp_path: Path) -> Any:
    """The cluster file of a job with three kinds of nodes, as Ray completes it."""
    assert run(["cluster", "render", str(job_file(tmp_path)), "--target", "aws", "--to", str(tmp_path)]) == 0
    return prepare_config(cluster_yaml(tmp_path))


def test_ray_takes_the_file(config: Any) -> None:
    """Ray's schema refuses keys that it does not know, and finds none."""
    validate_config(config)
    assert config["max_workers"] == 14
