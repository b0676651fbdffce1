"""Runs as processes of this machine."""

import subprocess
import sys

from infra.process_identity import process
from jobs.nightly.nightly_file import NightlyFile
from jobs.nightly.running import Launch


class Process:
    """A run in a process of its own.

    Args:
        arguments: of `jobs.nightly.one_run`.
        stays: whether we stay with it; else it outlives us, and the terminal.
    """

    def __init__(self, arguments: list[str], *, stays: bool) -> None:
        quiet = None if stays else subprocess.DEVNULL
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jobs.nightly.one_run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=quiet,
            start_new_session=not stays,
        )
        self.owner = process(self._process.pid)

    def ended(self) -> bool:
        return self._process.poll() is not None


def launcher(location: str, file: NightlyFile, *, stays: bool) -> Launch:
    """Starts runs of a file as processes of this machine."""
    return lambda name, due: Process([location, file.store, name, due.isoformat()], stays=stays)
