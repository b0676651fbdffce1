"""A real Prometheus of this machine's package, on a port and in a folder of its own."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ALERTS = Path(__file__).parents[2] / "infra" / "cluster" / "prometheus" / "alerts.yml"

_PATIENCE_SECONDS = 120.0


class Prometheus:
    """A running one.

    Args:
        url: of its API.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **values: str) -> Any:
        """The data of an answer of its API."""
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(values)}"
        with urllib.request.urlopen(url, timeout=10) as got:  # noqa: S310 - our own server
            return json.load(got)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float:
        """The only value that it gives."""
        (one,) = self.query(expression)
        return float(one["value"][1])


@contextlib.contextmanager
def prometheus(folder: Path, ports: Sequence[int]) -> Iterator[Prometheus]:
    """One that scrapes these ports every second, and evaluates the alerts; it is gone when the block ends."""
    targets = [f"127.0.0.1:{port}" for port in ports]
    scrape = {"job_name": "ray", "honor_labels": True, "static_configs": [{"targets": targets}]}
    intervals = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": intervals, "rule_files": [str(ALERTS)], "scrape_configs": [scrape]}
    (folder / "prometheus.json").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML too
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        f"--config.file={folder / 'prometheus.json'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["prometheus", *arguments], stdout=log, stderr=log, cwd=folder)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(f"{url}/-/ready", process, folder / "log")
            yield Prometheus(url)
        finally:
            process.terminate()
            process.wait(30)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a server answers there. Raises: AssertionError: it ends, or takes too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own server
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
