"""A driver for tests of our own Ray, run as a process of its own: `python -m tests.infra.compute.own_ray STORE TMP`.

Says on stdout what it does, a word a line: `ready PID` of the worker, `lost`, `ready PID` of the next one, `done`.
Each `go` on stdin lets it go on.
"""

import signal
import sys
import threading
from pathlib import Path

from infra.compute.table import open_compute
from pipeline.clock import SystemClock
from pipeline.events import AttemptEnded, Heartbeat, WorkerLost, WorkerReady, WorkerStarting
from tests.infra.compute.jobs import Listener, assignment, spec, synthetic_model


def say(*words: object) -> None:
    """One line for the test."""
    print(*words, flush=True)  # noqa: T201 - this is how it talks to the test


def main() -> None:
    """Start, wait to be robbed of the worker, work through a Ctrl-C, end."""
    store, tmp = sys.argv[1:]
    interrupted = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    model = synthetic_model(seconds_per_batch="0.3", batch_size="2")
    compute = open_compute(spec(Path(store), ray_tmp_dir=tmp or None, models=(model,)), clock=SystemClock())
    compute.start()
    listener = Listener(compute)
    first = listener.first(WorkerReady)
    say("ready", listener.first(WorkerStarting).node.node_type)
    sys.stdin.readline()
    listener.first(WorkerLost, worker=first.worker)
    say("lost")
    second = listener.first(WorkerReady, after=listener.heard.index(first) + 1)
    compute.assign(second.worker, assignment(model, "a1", images=8))
    listener.first(Heartbeat, worker=second.worker, after=len(listener.heard))
    say("working")
    sys.stdin.readline()
    ended = listener.first(AttemptEnded)
    compute.close()
    say("done", ended.cause, interrupted.is_set(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)


if __name__ == "__main__":
    main()
