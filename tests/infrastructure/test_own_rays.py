"""The Rays that we start ourselves: what listens on this machine's addresses answers nobody without our token."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.imports import ROOT


def test_own_rays_ask_for_a_token(tmp_path: Path) -> None:
    """A rehearsal's cluster and a job's own Ray answer who has the token; then this process asks for none."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.infrastructure.own_rays"],
        env=kept | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = ["UNAUTHENTICATED", "UNAUTHENTICATED", "OK"]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"answers": answers, "nodes": 2, "mode": "token"},
        {"answers": answers, "nodes": 1, "mode": "token"},
        {"answers": [], "nodes": 0, "mode": ""},
    ]
