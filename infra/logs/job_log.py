"""A process's log in the store: JSON lines under `jobs/<job>/logs/`, readable when its machine is gone.

Each line has `time, level, logger, message, job, node, worker, task, attempt`. Lines wait in bounded memory, and go to
the store in a bounded number of parts; a store that does not answer costs the oldest of them, never the job. What looks
like a secret is replaced before it is kept.
"""

import json
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType

from infra.logs.masking import Mask
from pipeline.errors import SpotrenderError
from pipeline.layout import log_key
from pipeline.log_place import place
from pipeline.ports import Store

OURS = ("pipeline", "infra", "jobs")
"""The loggers whose lines are kept."""

MOST_LINES = 5_000
"""So many lines wait at most; then the oldest go."""

PART_BYTES = 64 * 1024
"""A part that has grown so large is written no more."""

MOST_PARTS = 1_024
"""Of one stream; after that only warnings are kept, and after as many again nothing."""

MOST_CHARACTERS = 4_000
"""Of one message."""

PLACES = ("node", "worker", "task", "attempt")
"""Where a line comes from, beside the job; empty where it does not come from one."""


class JobLog(logging.Handler):
    """Keeps what our loggers say, and puts it into the store when told to.

    Args:
        store: where to; a driver's own, so that one that lost its lease writes nothing.
        job: job id.
        stream: names the parts: a driver's fence, a worker's name. It may change; nobody else's is the same.
        environ: whose secrets must not get into a line.
        here: `node` and `worker` of lines that do not tell theirs.
        level: of the lines that are kept.
        most_parts: of one stream.
    """

    def __init__(
        self,
        store: Store,
        job: str,
        *,
        stream: Callable[[], str],
        environ: Mapping[str, str],
        here: Mapping[str, str] = MappingProxyType({}),
        level: int = logging.INFO,
        most_parts: int = MOST_PARTS,
    ) -> None:
        super().__init__(level)
        self._store, self._job, self._stream, self._mask = store, job, stream, Mask(environ)
        self._here, self._most_parts = dict(here), most_parts
        self._waiting: deque[bytes] = deque(maxlen=MOST_LINES)
        self._dropped = 0
        self._part: list[bytes] = []
        self._number, self._part_stream = 0, ""
        self._writing = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line; never raises and never waits for the store."""
        if self._number >= self._most_parts and (
            record.levelno < logging.WARNING or self._number >= 2 * self._most_parts
        ):
            return
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - a line that cannot be made must not end the job
            self.handleError(record)
            return
        if len(self._waiting) == MOST_LINES:
            self._dropped += 1
        self._waiting.append(line)

    def put(self) -> None:
        """Put what waits into the store, one object a part; what it does not take is kept for the next time."""
        with self._writing:
            lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
            dropped = self._dropped
            first = [self._plain(f"{dropped} lines before this one were dropped")] if dropped else []
            while lines:
                room = max(1, PART_BYTES - sum(map(len, self._part)))
                count, size = 0, 0
                while count < len(lines) and size < room:
                    size, count = size + len(lines[count]), count + 1
                try:
                    self._put_part(first + lines[:count], full=size >= room)
                except SpotrenderError:
                    self._keep(lines)
                    return
                del lines[:count]
                if first:
                    first, self._dropped = [], self._dropped - dropped

    def _put_part(self, lines: list[bytes], *, full: bool) -> None:
        """Write the present part with these lines added. Raises: SpotrenderError: nothing has changed."""
        stream = self._stream()
        part, number = (self._part, self._number) if stream == self._part_stream else ([], 0)
        part = part + lines
        if full and number + 1 == self._most_parts:
            part.append(self._plain("the log is long: only warnings from here on"))
        self._store.put(log_key(self._job, f"{stream}-{number:06d}.jsonl"), b"".join(part))
        self._part_stream = stream
        self._part, self._number = ([], number + 1) if full else (part, number)

    def _keep(self, lines: list[bytes]) -> None:
        """Back to what waits, before what came since; the oldest go where there is no room."""
        room = MOST_LINES - len(self._waiting)
        kept = lines[-room:] if room else []
        self._dropped += len(lines) - len(kept)
        self._waiting.extendleft(reversed(kept))

    def _line(self, record: logging.LogRecord) -> bytes:
        """One record as a line of JSON."""
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message += f": {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._mask.hide(message)[:MOST_CHARACTERS],
            "job": self._job,
        }
        around = self._here | dict(place())
        values |= {name: str(getattr(record, name, None) or around.get(name, "")) for name in PLACES}
        return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    def _plain(self, message: str) -> bytes:
        """A line of our own."""
        return self._line(logging.makeLogRecord({"name": __name__, "levelname": "WARNING", "msg": message}))


@contextmanager
def logged(log: JobLog) -> Iterator[JobLog]:
    """While the block runs, our loggers tell this log; at its end the last lines are put into the store."""
    loggers = [logging.getLogger(name) for name in OURS]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(log)
        if logger.getEffectiveLevel() > log.level:
            logger.setLevel(log.level)
    try:
        yield log
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(log)
            logger.setLevel(level)
        log.put()
