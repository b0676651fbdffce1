"""The small Ray actor that watches over one node: who the node is, and who wants to take it away."""

import os
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from infra.providers.sources import makers, sources_of
from infra.providers.static import NOTICE_FILE
from infra.providers.watch import NodeWatch, Report
from pipeline.clock import SystemClock


class NodeWatcher:
    """One node's watch, in a process of its own, so that nothing that a worker does can keep it from hearing.

    Args:
        provider: the one that the offer names, or one of `AUTOMATIC`.
        notice_file: path where the node's own environment names none.
    """

    def __init__(self, provider: str, notice_file: str) -> None:
        environ = dict(os.environ)
        if notice_file:
            environ.setdefault(NOTICE_FILE, notice_file)
        node_id, now_ns = ray.get_runtime_context().get_node_id(), SystemClock().now_ns
        sources = sources_of(provider, environ, now_ns=now_ns, node_id=node_id)
        self._watch = NodeWatch(*sources, environ=environ, expected=makers())
        self._watch.start()

    def report(self, timeout_seconds: float) -> Report:
        """What is known, as soon as it is more than before, or after this time."""
        return self._watch.report(timeout_seconds)


def node_watcher(node_id: str, provider: str, notice_file: str) -> Any:
    """Ask Ray for a watcher on exactly this node; returns its handle at once."""
    remote: Any = ray.remote  # its types know functions better than actors
    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    actor = remote(max_restarts=0, max_task_retries=0)(NodeWatcher)
    return actor.options(num_cpus=0, num_gpus=0, scheduling_strategy=there).remote(provider, notice_file)
