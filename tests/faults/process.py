"""Starts the proxy as a process of its own, for suites whose clients are other processes or many."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.faults.control import Control
from tests.infra.servers import S3Server


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultProcess:
    """A running proxy process."""

    server: S3Server
    """How to reach the server through the proxy."""
    control: Control
    """Orders and counts."""


@contextmanager
def fault_process(
    upstream: S3Server, *, rates: Mapping[str, float] | None = None, seed: int = 0, stall_seconds: float = 5.0
) -> Iterator[FaultProcess]:
    """A proxy in a process of its own; arguments as for `fault_proxy`."""
    shares = [f"--rate={name}={share}" for name, share in (rates or {}).items()]
    options = [f"--upstream={upstream.endpoint_url}", f"--seed={seed}", f"--stall-seconds={stall_seconds}", *shares]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            places = json.loads(process.stdout.readline())
            yield FaultProcess(
                server=replace(upstream, endpoint_url=places["proxy"]), control=Control(places["control"])
            )
        finally:
            process.stdin.close()
            process.wait()
