"""A Ray cluster of several nodes on this machine, whose nodes can be announced, killed and added: for rehearsals.

It lives in a process of its own (`local_cluster_host.py`), so that nothing of it is left when this process ends, by
Ctrl-C or kill -9 too; and drivers connect to it by its address, as to any cluster.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any, Final

import psutil

from infra.compute.ray_session import LOCAL_ENVIRONMENT, code_path, short_folder, token_required
from pipeline.errors import ClusterRefusedError, InfrastructureError

_ENDING_SECONDS = 20.0

_WORKER: Final = "WorkerActor"
"""Stands in the command line of the processes that render."""

_QUICK: Final[Mapping[str, str]] = MappingProxyType(
    {"RAY_health_check_period_ms": "500", "RAY_health_check_timeout_ms": "1000"}
)
"""A dead node is seen even sooner than by a Ray of our own, for a rehearsal has many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """One node."""

    node_id: str
    """Ray's id of it."""
    raylet: int
    """Process id."""

    def workers(self) -> list[psutil.Process]:
        """The processes that render there."""
        try:
            children = psutil.Process(self.raylet).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child for child in children if _WORKER in _command_line(child)]


class LocalCluster:
    """A running cluster; its calls may come from any thread.

    Args:
        host: the process that keeps it.
        log: what that process says.
    """

    def __init__(self, host: subprocess.Popen[str], log: IO[str]) -> None:
        self._host, self._log, self._lock = host, log, threading.Lock()
        self.address: str = self._read()["address"]
        """Where a driver connects."""

    def add(self, *, labels: Mapping[str, str] | None = None, cpus: int = 1) -> LocalNode:
        """One more node, about to join, with room for one worker on each CPU that it says it has.

        Raises:
            InfrastructureError: it could not be started.
        """
        answer = self._ask("add", labels=dict(labels or {}), cpus=cpus)
        return LocalNode(node_id=answer["node"], raylet=answer["raylet"])

    def settle(self) -> None:
        """Wait until all nodes have joined. Raises: InfrastructureError: one does not."""
        self._ask("settle")

    def announce(self, node: LocalNode, *, seconds: float) -> bool:
        """Say that the node goes after so many seconds, as a cloud's own agent would; whether Ray took note."""
        return bool(self._ask("announce", node=node.node_id, seconds=seconds)["heard"])

    def kill(self, node: LocalNode) -> bool:
        """SIGKILL to every process of a node; whether it was there."""
        return bool(self._ask("kill", node=node.node_id)["killed"])

    def _ask(self, what: str, **values: Any) -> dict[str, Any]:
        """One order and its answer. Raises: InfrastructureError: it could not be done."""
        with self._lock:
            try:
                assert self._host.stdin is not None  # noqa: S101 - it is a pipe
                self._host.stdin.write(json.dumps({"do": what, **values}) + "\n")
                self._host.stdin.flush()
            except (OSError, ValueError) as error:
                raise InfrastructureError(f"the local cluster is gone: {self._last_words()}") from error
            answer = self._read()
        if "error" in answer:
            raise InfrastructureError(f"the local cluster could not {what}: {answer['error']}")
        return answer

    def _read(self) -> dict[str, Any]:
        """One answer. Raises: InfrastructureError: the process ended."""
        assert self._host.stdout is not None  # noqa: S101 - it is a pipe
        line = self._host.stdout.readline()
        if not line:
            raise InfrastructureError(f"the local cluster ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        """The last line that the process said."""
        self._log.seek(0)
        lines = [line for line in self._log.read().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


@contextlib.contextmanager
def local_cluster(*, environment: Mapping[str, str] | None = None) -> Iterator[LocalCluster]:
    """A cluster that has only its head yet; it and all of its processes are gone when the block ends.

    Args:
        environment: variables for its nodes, beside those of this process.

    Raises:
        ClusterRefusedError: it does not start.
    """
    with token_required(), short_folder() as folder, tempfile.TemporaryFile("w+") as log:
        given = dict(_QUICK) | {name: value for name, value in LOCAL_ENVIRONMENT.items() if name not in _QUICK}
        own = {name: value for name, value in given.items() if name not in os.environ}
        path = os.pathsep.join([*code_path(), *filter(None, [os.environ.get("PYTHONPATH")])])
        host = subprocess.Popen(
            [sys.executable, "-P", "-m", "infra.compute.local_cluster_host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=folder,
            env={**os.environ, **own, **(environment or {}), "RAY_TMPDIR": folder, "PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C on the terminal is for the driver alone
        )
        try:
            try:
                cluster = LocalCluster(host, log)
            except InfrastructureError as error:
                raise ClusterRefusedError(f"{error}; `spotrender doctor` looks closer") from error
            yield cluster
        finally:
            _end(host)


def _end(host: subprocess.Popen[str]) -> None:
    """Let the process end its nodes and itself; then kill, by their ids, those that are still there."""
    everything: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        everything = psutil.Process(host.pid).children(recursive=True)
    try:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            host.communicate(timeout=_ENDING_SECONDS)
    finally:
        host.kill()
        host.wait()
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _command_line(process: psutil.Process) -> str:
    """As it shows itself; empty when it is gone."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
