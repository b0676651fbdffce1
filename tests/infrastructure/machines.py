"""Machines on loopback: the scripts of `cluster render --target runpod`, each started as on a machine of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PATIENCE_SECONDS = 180.0
_OWN = ("--dashboard-agent-listen-port", "0", "--min-worker-port", "0", "--max-worker-port", "0")
"""Arguments without which nodes on one machine would be in each other's way."""


def _free_port() -> int:
    """Above the ports that Ray gives to workers."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        if port > 20_000:
            return port


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """A head and its workers."""

    scripts: Path
    folder: Path
    """Short; holds the home with the token, logs and Ray's files."""
    port: int = field(default_factory=_free_port)
    dashboard_port: int = field(default_factory=_free_port)
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"127.0.0.1:{self.port}"

    @property
    def dashboard(self) -> str:
        """Of the head's dashboard, as a tunnel would lead to it."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def token(self) -> Path:
        """The file that the head made."""
        return self.folder / "home" / ".ray" / "auth_token"

    def start_head(self) -> None:
        """As the script's first lines say, on ports of our own."""
        ports = ["--port", str(self.port), "--dashboard-port", str(self.dashboard_port), *_OWN]
        self._start("head", ["head.sh", "127.0.0.1", *ports])

    def start_worker(self, name: str, script: str) -> None:
        """One more machine of the pool that the script is for, with one CPU and no GPU."""
        here = ["--num-cpus", "1", "--num-gpus", "0", *_OWN]
        self._start(name, [script, self.address, "127.0.0.1", *here], {"RUNPOD_POD_ID": name})

    def joined(self, name: str) -> None:
        """Wait until Ray runs there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "Ray runtime started" not in (said := self.log(name)):
            assert self.started[name].poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def reclaim(self, name: str) -> None:
        """SIGTERM to `ray start`, as when a pod is stopped."""
        self.started[name].send_signal(signal.SIGTERM)

    def log(self, name: str) -> str:
        """What `ray start` has said."""
        return (self.folder / f"{name}.log").read_text()

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process on these machines; nothing of Ray comes from outside."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        # A loaded machine starts a node more slowly than Ray expects.
        patient = {"RAY_raylet_start_wait_time_s": "150", "RAY_USAGE_STATS_ENABLED": "0"}
        own = {"HOME": str(self.folder / "home"), "RAY_TMPDIR": str(self.folder), "PATH": path}
        return {**kept, **own, **patient, **more}

    def _start(self, name: str, words: list[str], more: Mapping[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.started[name] = subprocess.Popen(
                ["sh", self.scripts / words[0], *words[1:]],
                cwd=self.folder,
                env=self.environment(**(more or {})),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


@contextlib.contextmanager
def machines(scripts: Path) -> Iterator[Machines]:
    """Machines that are to be started; all of their processes are gone when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="m", dir="/tmp"))
    (folder / "home").mkdir()
    found = Machines(scripts=scripts, folder=folder)
    try:
        yield found
    finally:
        everything: list[psutil.Process] = []
        for process in found.started.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                everything += psutil.Process(process.pid).children(recursive=True)
        for process in found.started.values():
            process.kill()
            process.wait()
        for one in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(everything, timeout=10)
        shutil.rmtree(folder, ignore_errors=True)
