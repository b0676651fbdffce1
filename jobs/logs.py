"""The log of a job, read from its store: of all its drivers, in the order of time."""

import heapq
import json
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, groupby
from typing import Any

from jobs.listing import find_job
from jobs.terminal_text import printable
from pipeline.errors import NotFoundError
from pipeline.layout import log_key
from pipeline.lease_state import read_lease
from pipeline.ports import Clock, Store
from pipeline.status import read_status

POLL_SECONDS = 2.0
"""Between two looks while following."""

Line = Mapping[str, Any]
"""`time, level, logger, message, job`, and `worker` and `task` where they are known."""


def read_log(store: Store, text: str) -> Iterator[Line]:
    """The lines of a job's log; one part of each driver's is in memory at a time. Raises: JobRefusedError: no such."""
    folder = log_key(find_job(store, text), "")
    keys = [info.key for info in store.list(folder)]
    drivers = [list(parts) for _, parts in groupby(keys, key=lambda key: key.removeprefix(folder).partition("-")[0])]
    streams = [chain.from_iterable(_lines(_body(store, key)) for key in parts) for parts in drivers]
    return heapq.merge(*streams, key=lambda line: str(line.get("time", "")))


def follow_log(store: Store, text: str, *, clock: Clock, on_line: Callable[[Line], None]) -> None:
    """Tell the lines that are there, then those that come, until the job has ended and no driver is left.

    Args:
        store: where the job lies.
        text: which one.
        clock: time.
        on_line: told each line once.

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
                fresh += _lines(body[known.get(info.key, 0) :])
                known[info.key] = len(body)
        for line in sorted(fresh, key=lambda line: str(line.get("time", ""))):
            on_line(line)
        if over:
            return
        clock.sleep(POLL_SECONDS)


def line_text(line: Line) -> str:
    """A line for a terminal; what stands in it can do no harm there."""
    places = [str(line[name]) for name in ("worker", "task") if line.get(name)]
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
