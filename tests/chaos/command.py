"""The command itself, as a process that can be killed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import IO, Any

from infra.compute.code_version import code_root

PATIENCE_SECONDS = 180.0
"""How long a test waits for what must come; long, as it is no test of speed."""


class Command:
    """A running `spotrender`.

    Args:
        process: the process.
        told: where its stderr goes.
    """

    def __init__(self, process: subprocess.Popen[str], told: IO[str]) -> None:
        self._process, self._told, self._last = process, told, ""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait while it runs; it must not end before this is reached."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            assert self._process.poll() is None, f"it ended before that:\n{self.stderr()}"
            assert time.monotonic() < deadline, f"not in time:\n{self.stderr()}"
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self._process.kill()
        self._process.wait()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, Any]:
        """Wait until it ends by itself; gives its exit code and the JSON document that it printed."""
        out, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        died = f"exit code {self._process.returncode}:\n{self.stderr()}"
        assert self._process.returncode >= 0, f"killed by a signal, {died}"
        assert out, f"nothing on stdout, {died}"
        return self._process.returncode, json.loads(out, parse_float=Decimal)

    def stderr(self) -> str:
        """What it has told so far; all of it, when it has ended."""
        if not self._told.closed:
            self._told.seek(0)
            self._last = self._told.read()
        return self._last


@contextmanager
def command(
    arguments: Sequence[str], *, environment: Mapping[str, str] | None = None, inherit_ray: bool = True
) -> Iterator[Command]:
    """`spotrender` with these arguments and `--json`; killed if the block fails.

    It runs in a folder of its own, as workers that start where its code lies would need nothing sent to them.

    Args:
        arguments: without the program's name.
        environment: variables to add.
        inherit_ray: hand on this process's own `RAY_` variables, among them the token of a Ray that it started.
    """
    inherited = {name: value for name, value in os.environ.items() if inherit_ray or not name.startswith("RAY_")}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "jobs.console", *arguments, "--json"],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
            cwd=folder,
            env={**inherited, **(environment or {}), "PYTHONPATH": str(code_root())},
        )
        running = Command(process, told)
        try:
            yield running
        finally:
            process.kill()
            process.communicate()
            running.stderr()
