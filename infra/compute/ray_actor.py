"""The Ray actor around one worker: it says where it stands, begins, and is polled; nothing is decided here."""

import logging
import os
import threading
import time
from typing import Any

import ray

from infra.compute.assemble import Post, assemble_worker
from infra.compute.code_version import code_version
from infra.compute.gpu import gpu_name
from infra.compute.worker_log import WorkerLog
from pipeline.assignment import Assignment
from pipeline.clock import SystemClock
from pipeline.events import Heartbeat, WorkerEvent, WorkerLost
from pipeline.record import Cause
from pipeline.working.worker import Worker

_LOG = logging.getLogger(__name__)

POLLS = "poll"
"""The concurrency group to call `poll` in, so that no assignment waits for a poll to end."""

PARALLEL_SHARDS = "HF_ENABLE_PARALLEL_LOADING"
"""diffusers reads the shards of a large model beside each other where this says so when it is imported."""

_LINGER_SECONDS = 0.02
"""After the first event, what follows within this time travels with it: fewer messages for small pictures."""


class WorkerActor:
    """One worker process. Constructing it is instant, so that the driver soon knows where it is."""

    def __init__(self) -> None:
        self._name = ""
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._clock = SystemClock()
        self._failure = ""
        self._log: WorkerLog | None = None

    def hello(self) -> dict[str, Any]:
        """Where this is and which code it runs: plain values, which any version can read."""
        context = ray.get_runtime_context()
        gpus = [str(gpu) for gpu in ray.get_gpu_ids()]
        return {
            "node_id": context.get_node_id(),
            "labels": dict(context.get_node_labels()),
            "gpu": gpu_name(gpus[0]) if gpus else "cpu",
            "code_version": code_version(),
            "pid": os.getpid(),
        }

    def begin(self, post: Post, secrets: dict[str, str]) -> None:
        """Start the worker's life on its own thread.

        Args:
            post: what it is to be.
            secrets: environment for this process that must show in no log and no runtime environment.

        Raises:
            StoreRefusedError: the store's URI makes no sense here.
        """
        os.environ.update(secrets)
        os.environ.setdefault(PARALLEL_SHARDS, "yes")
        self._name = post.name
        self._worker = assemble_worker(post, clock=self._clock)
        self._log = WorkerLog(self._worker.store, post)
        self._thread = threading.Thread(target=self._live, name="worker", daemon=True)
        self._thread.start()

    def poll(self, timeout_seconds: float) -> list[WorkerEvent]:
        """What happened since the last call; waits for something at most this long; ends with a heartbeat."""
        assert self._worker is not None, "poll before begin"  # noqa: S101 - the driver calls them in order
        events = self._worker.poll(timeout_seconds)
        if len(events) > 1:
            time.sleep(_LINGER_SECONDS)
            events = [event for event in events if not isinstance(event, Heartbeat)]
            events += self._worker.poll(0)
        if self._failure:
            now_ns = self._clock.now_ns()
            cause = Cause.INFRASTRUCTURE.value
            events.append(WorkerLost(worker=self._name, at_ns=now_ns, cause=cause, message=self._failure))
        return events

    def assign(self, assignment: Assignment) -> None:
        """Into the worker's inbox."""
        if self._worker is not None:
            self._worker.assign(assignment)

    def release(self) -> None:
        """To the worker."""
        if self._worker is not None:
            self._worker.release()
        if self._log is not None:
            self._log.put_soon()

    def notice(self, deadline_ns: int | None) -> None:
        """To the worker."""
        if self._worker is not None:
            self._worker.notice(deadline_ns)
        if self._log is not None:
            self._log.put_soon()

    def put_log(self) -> None:
        """Put the last lines of the log: this process is about to be ended."""
        if self._log is not None:
            self._log.put()

    def _live(self) -> None:
        """The worker's life; what it raises is told, as a thread that dies in silence looks like one that works."""
        try:
            if self._worker is not None:
                self._worker.run()
        except Exception as error:  # noqa: BLE001 - whatever it is ends this worker, and the driver must hear of it
            self._failure = f"{type(error).__name__}: {error}"
            _LOG.exception("the worker ended")
            if self._log is not None:
                self._log.put_soon()


def worker_actor(options: dict[str, Any]) -> Any:
    """Ask Ray for one more worker process, with these options; returns its handle at once.

    Ray restarts nothing and retries nothing: the driver does, and bills every attempt.
    """
    remote: Any = ray.remote  # its types know functions better than actors
    actor = remote(max_restarts=0, max_task_retries=0, concurrency_groups={POLLS: 1})(WorkerActor)
    return actor.options(**options).remote()
