"""The log of a job, read from its store: of all its drivers and workers, in the order of time."""

import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from jobs.terminal_text import printable
from jobs.watching.listing import find_job
from pipeline.driving.lease_state import read_lease
from pipeline.errors import JobFileError, NotFoundError
from pipeline.layout import log_key
from pipeline.ports import Clock, Store
from pipeline.status import read_status

POLL_SECONDS = 2.0
"""Between two looks while following."""

Line = Mapping[str, Any]
"""`time, level, logger, message, job, node, worker, task, attempt`, as `infra/logs/job_log.py` writes it."""

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""From the least to the gravest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines; an empty field wants all. Of names the beginning will do, of a worker's the end too."""

    task: str = ""
    attempt: str = ""
    node: str = ""
    """A node session, or `driver`."""
    worker: str = ""
    level: str = ""
    """This one and graver ones; without it a worker's routine (DEBUG) is left out, unless a place is named."""

    def __contains__(self, line: Line) -> bool:
        least = self.level or ("DEBUG" if self.task or self.attempt or self.node or self.worker else "INFO")
        level = str(line.get("level", ""))
        if level in LEVELS and LEVELS.index(level) < LEVELS.index(least):
            return False
        places = ((name, getattr(self, name)) for name in ("task", "attempt", "node"))
        told = all(str(line.get(name) or "").startswith(wanted) for name, wanted in places if wanted)
        worker = str(line.get("worker") or "")
        return told and (worker.startswith(self.worker) or worker.endswith(self.worker))


ALL: Final = Wanted()


def wanted(*, level: str = "", **names: str) -> Wanted:
    """Which lines a user asks for. Raises: JobFileError: no such level."""
    if level and level.upper() not in LEVELS:
        raise JobFileError(f'--level: must be one of {", ".join(LEVELS).lower()}, got "{level}"')
    return Wanted(level=level.upper(), **names)


def read_log(store: Store, text: str, which: Wanted = ALL) -> Iterator[Line]:
    """The lines of a job's log; one part of each driver's and worker's is in memory at a time.

    Args:
        store: where the job lies.
        text: which job.
        which: of its lines.

    Raises:
        JobRefusedError: no such job.
    """
    folder = log_key(find_job(store, text), "")
    keys = [info.key for info in store.list(folder)]
    writers = [list(parts) for _, parts in groupby(keys, key=lambda key: key.rpartition("-")[0])]
    streams = [_stream(store, parts, which) for parts in writers]
    return heapq.merge(*streams, key=lambda line: str(line.get("time", "")))


def _stream(store: Store, parts: Sequence[str], which: Wanted) -> Iterator[Line]:
    """What one driver or worker said."""
    return (line for key in parts for line in _lines(_body(store, key)) if line in which)


def follow_log(store: Store, text: str, *, clock: Clock, on_line: Callable[[Line], None], which: Wanted = ALL) -> None:
    """Tell the lines that are there, then those that come, until the job has ended and no driver is left.

    Args:
        store: where the job lies.
        text: which one.
        clock: time.
        on_line: told each line once.
        which: of the lines.

    Raises:
        JobRefusedError: no such job.
        StoreUnavailableError: the store does not answer.
    """
    job = find_job(store, text)
    known: dict[str, int] = {}
    while True:
        over = _over(store, job)
        fresh: list[Line] = []
        for info in store.list(log_key(job, "")):
            if info.size_bytes != known.get(info.key, 0):
                body = _body(store, info.key)
                fresh += (line for line in _lines(body[known.get(info.key, 0) :]) if line in which)
                known[info.key] = len(body)
        for line in sorted(fresh, key=lambda line: str(line.get("time", ""))):
            on_line(line)
        if over:
            return
        clock.sleep(POLL_SECONDS)


def line_text(line: Line) -> str:
    """A line for a terminal; what stands in it can do no harm there."""
    names = ("worker", "task", "attempt") if line.get("worker") else ("task",)
    places = [str(line[name]).removeprefix(f"{line.get('job')}-") for name in names if line.get(name)]
    where = f" [{' '.join(places)}]" if places else ""
    return printable(f"{line.get('time', '')} {line.get('level', ''):<7}{where} {line.get('message', '')}")


def _over(store: Store, job: str) -> bool:
    """Whether nothing more will come: the job has ended, and its driver has let it go."""
    status, lease = read_status(store, job), read_lease(store, job)
    return status is not None and status.state.terminal and (lease is None or lease.state.released)


def _body(store: Store, key: str) -> bytes:
    """One part; empty when it is gone."""
    try:
        return store.get(key)
    except NotFoundError:
        return b""


def _lines(body: bytes) -> Iterator[Line]:
    """The lines of a part; what is no JSON object is left out."""
    for text in body.splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
