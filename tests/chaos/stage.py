"""The place where a job is put through a script: a cluster of four nodes, a store behind a proxy, a driver."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from infra.compute.local_cluster import LocalCluster, LocalNode, local_cluster
from jobs.rehearsing.reclaiming import node_labels
from tests.chaos.command import Command, command
from tests.chaos.outside import OutsideView
from tests.chaos.script import Event
from tests.faults.control import Control
from tests.faults.process import fault_process
from tests.infra.servers import S3Server, moto_server

NODES = 4

PRICE = "0.37"
"""Dollars an hour of each node: no whole number of nano-dollars a nanosecond."""

_LOOK_SECONDS = 0.2
_STOPPED_SECONDS = 4.0
_STOPPED_LONG_SECONDS = 15.0
_AWAY_SECONDS = 20.0
_SLOW_SECONDS = 8.0
_SLOW_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One event, as it came about."""

    event: Event
    after_seconds: float
    records: int
    """That were there then."""
    whom: str


@dataclass(slots=True)
class Stage:
    """Everything that a script can hit.

    Args:
        cluster: with its nodes.
        server: the store itself, past the proxy.
        proxied: the same through the proxy.
        control: of the proxy.
    """

    cluster: LocalCluster
    server: S3Server
    proxied: S3Server
    control: Control
    nodes: list[LocalNode] = field(default_factory=list)
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _announced: set[str] = field(default_factory=set)

    def submit(self, arguments: Sequence[str], server: S3Server) -> "contextlib.AbstractContextManager[Command]":
        """The command as a process of its own."""
        environment = {**server.environment(), "SPOTRENDER_LOCAL_USD_PER_HOUR": PRICE, "CUDA_VISIBLE_DEVICES": ""}
        return command(["submit", *arguments, "--address", self.cluster.address], environment=environment)

    def undisturbed(self, arguments: Sequence[str]) -> Any:
        """Run a job in peace; gives its result."""
        with self.submit(arguments, self.server) as driver:
            code, result = driver.end()
        assert code == 0, result
        return result

    def perform(
        self, arguments: Sequence[str], events: Sequence[Event], view: OutsideView, *, batches: int
    ) -> tuple[list[Happened], Any]:
        """Run a job while all of it happens; gives what happened and the job's result."""
        happened: list[Happened] = []
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            driver = stack.enter_context(self.submit(arguments, self.proxied))
            for event in events:
                self._wait(driver, lambda share=event.at_share: len(view.record_keys()) >= share * batches)  # type: ignore[misc]
                records = len(view.record_keys())
                if event.kind == "driver killed":
                    driver.kill()
                    driver = stack.enter_context(self.submit(arguments, self.proxied))
                    whom = "the driver"
                else:
                    whom = self._do(event, driver)
                after = time.monotonic() - started
                happened.append(Happened(event=event, after_seconds=after, records=records, whom=whom))
            while self._later:
                time.sleep(_LOOK_SECONDS)
                self._do_what_is_due()
            code, result = driver.end()
            assert code == 0, f"{result}\n{driver.stderr()[-5000:]}"
        return happened, result

    def _do(self, event: Event, driver: Command) -> str:
        """Let an event happen; says to whom it did."""
        match event.kind:
            case "store away":
                self.control.outage(_AWAY_SECONDS)
                return "the store"
            case "store slow":
                self.control.set_rates({"slow_down": _SLOW_SHARE}, seed=event.number)
                self._plan(_SLOW_SECONDS, lambda: self.control.set_rates({}))
                return "the store"
            case "raylet killed":
                node = self._node(event, driver)
                self._replace(node)
            case "notice 30 s" | "notice 2 s":
                node = self._node(event, driver)
                seconds = 30.0 if event.kind == "notice 30 s" else 2.0
                assert self.cluster.announce(node, seconds=seconds)
                self._announced.add(node.node_id)
                self._plan(seconds, lambda: self._replace(node))
            case "worker killed":
                node = self._node(event, driver)
                for worker in node.workers():
                    _signal(worker.kill)
            case "worker stopped" | "worker stopped long":
                node = self._node(event, driver)
                for worker in node.workers():
                    _signal(worker.suspend)
                    long = event.kind == "worker stopped long"
                    seconds = _STOPPED_LONG_SECONDS if long else _STOPPED_SECONDS
                    self._plan(seconds, lambda stopped=worker: _signal(stopped.resume))  # type: ignore[misc]
            case _:
                raise AssertionError(event)
        return f"node {node.node_id[:6]}"

    def _node(self, event: Event, driver: Command) -> LocalNode:
        """Whom an event hits: a node that has a worker and was not announced."""

        def candidates() -> list[LocalNode]:
            return [node for node in self.nodes if node.node_id not in self._announced and node.workers()]

        self._wait(driver, lambda: bool(candidates()))
        found = candidates()
        return found[min(int(event.dice * len(found)), len(found) - 1)]

    def _replace(self, node: LocalNode) -> None:
        """A node is gone, and another one comes."""
        self.nodes.remove(node)
        self.cluster.kill(node)
        self.add()

    def add(self) -> None:
        """One more node."""
        self.nodes.append(self.cluster.add(labels=node_labels(f"local-{len(self.nodes)}")))

    def _plan(self, seconds: float, what: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, what))

    def _do_what_is_due(self) -> None:
        planned, self._later = self._later, []
        for at, what in planned:
            if at <= time.monotonic():
                what()
            else:
                self._later.append((at, what))

    def _wait(self, driver: Command, reached: Callable[[], bool]) -> None:
        """Wait for it while the driver runs and what was planned happens."""

        def there() -> bool:
            self._do_what_is_due()
            return reached()

        driver.until(there)


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """An S3 server behind the proxy, and a cluster of four nodes that can reach both."""
    with (
        moto_server() as server,
        fault_process(server) as proxy,
        local_cluster(environment={**proxy.server.environment(), "CUDA_VISIBLE_DEVICES": ""}) as cluster,
    ):
        made = Stage(cluster, server, proxy.server, proxy.control)
        for _ in range(NODES):
            made.add()
        cluster.settle()
        yield made


def job_file(path: Path, values: Mapping[str, Any]) -> str:
    """Write a job file for all nodes of the stage; JSON is YAML too."""
    nodes = [{"type": "local", "market": "local", "max": NODES}]
    path.write_text(json.dumps({"nodes": nodes, **values}), encoding="utf-8")
    return str(path)


def _signal(send: Callable[[], None]) -> None:
    """To a process that may be gone already."""
    with contextlib.suppress(psutil.NoSuchProcess):
        send()
