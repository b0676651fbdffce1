"""Builds the Kubernetes files as an operator does."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "infra" / "cluster" / "kubernetes"
"""Where they are."""


def built(folder: Path) -> dict[str, dict[str, Any]]:
    """What `kubectl apply -k FOLDER` would create, by `Kind/name`."""
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    return {f"{document['kind']}/{document['metadata']['name']}": document for document in documents}


def cluster_of(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The spec of the Ray cluster, standing or of a job."""
    found: dict[str, Any]
    if "RayCluster/spotrender" in documents:
        found = documents["RayCluster/spotrender"]["spec"]
    else:
        found = documents["RayJob/spotrender"]["spec"]["rayClusterSpec"]
    return found
