"""A worker's log: what its process says goes to the store in bounded pieces, as its node may be gone at any time."""

import logging
import os
import threading
from contextlib import ExitStack
from typing import Final

from infra.compute.assemble import Post
from infra.logs.job_log import JobLog, logged
from pipeline.ports import Store

PUT_SECONDS: Final = 15.0
"""So often at most the log is put, and only when there is something new; a node that dies costs what came since."""

MOST_PARTS: Final = 64
"""Of 64 KiB each, for one worker; after that only warnings are kept."""


class WorkerLog:
    """Keeps what this process logs, from now until it ends.

    Args:
        store: the worker's.
        post: of the worker.
    """

    def __init__(self, store: Store, post: Post) -> None:
        name = post.name.removeprefix(f"{post.spec.job}-")
        self._log = JobLog(
            store,
            post.spec.job,
            stream=lambda: f"worker-{name}",
            environ=os.environ,
            here={"node": post.node.node_session, "worker": post.name},
            level=logging.DEBUG,
            most_parts=MOST_PARTS,
        )
        self._due, self._stack = threading.Event(), ExitStack()
        self._stack.enter_context(logged(self._log))
        threading.Thread(target=self._keep, name="log", daemon=True).start()

    def put_soon(self) -> None:
        """Put what there is, without waiting for it: the worker is to leave."""
        self._due.set()

    def put(self) -> None:
        """Put what there is now; what the store does not take is lost with this process."""
        self._log.put()

    def _keep(self) -> None:
        while True:
            self._due.wait(PUT_SECONDS)
            self._due.clear()
            self._log.put()
