"""The driver's log in the store: JSON lines under `jobs/<job>/logs/`, readable when the driver's machine is gone.

Each line has `time, level, logger, message, job`, and `worker` and `task` where the record has them. Lines wait in
bounded memory; a store that does not answer costs the oldest of them, never the job. What looks like a secret is
replaced before it is kept.
"""

import json
import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from pipeline.errors import SpotrenderError
from pipeline.layout import log_key
from pipeline.ports import Store

OURS = ("pipeline", "infra", "jobs")
"""The loggers whose lines are kept."""

MOST_LINES = 5_000
"""So many lines wait at most; then the oldest go."""

PART_BYTES = 64 * 1024
"""A part that has grown so large is written no more."""

MOST_CHARACTERS = 4_000
"""Of one message."""

HIDDEN = "[hidden]"

_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY", re.IGNORECASE)
_SECRETS = re.compile(
    r"(?P<before>://)[^/\s@]+(?=@)"  # user and password in a URL
    r"|(?P<name>(?:X-Amz-(?:Signature|Credential|Security-Token)|access_token|token|password|secret|sig)=)[^&\s\"']+"
    r"|(?P<bearer>\b(?:Bearer|Basic)\s+)[\w.~+/=-]+"
    r"|\bhf_[A-Za-z0-9]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    re.IGNORECASE,
)


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """The text without values of variables that are named like secrets, and without what looks like one."""
    for name, value in environ.items():
        if len(value) >= 8 and _SECRET_NAMES.search(name) and value in text:
            text = text.replace(value, HIDDEN)
    return _SECRETS.sub(lambda found: (found["before"] or found["name"] or found["bearer"] or "") + HIDDEN, text)


class JobLog(logging.Handler):
    """Keeps what our loggers say, and puts it into the store when told to.

    Args:
        store: where to; the driver's own, so that one that lost its lease writes nothing.
        job: job id.
        fence: number of the driver now; names the parts.
        environ: whose secrets must not get into a line.
    """

    def __init__(self, store: Store, job: str, *, fence: Callable[[], int], environ: Mapping[str, str]) -> None:
        super().__init__(logging.INFO)
        self._store, self._job, self._fence, self._environ = store, job, fence, dict(environ)
        self._waiting: deque[bytes] = deque(maxlen=MOST_LINES)
        self._dropped = 0
        self._part: list[bytes] = []
        self._number = self._part_fence = 0
        self._writing = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line; never raises and never waits for the store."""
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
        fence = self._fence()
        part, number = (self._part, self._number) if fence == self._part_fence else ([], 0)
        part = part + lines
        self._store.put(log_key(self._job, f"{fence:08d}-{number:06d}.jsonl"), b"".join(part))
        self._part_fence = fence
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
            "message": without_secrets(message, self._environ)[:MOST_CHARACTERS],
            "job": self._job,
        }
        values |= {name: str(value) for name in ("worker", "task") if (value := getattr(record, name, None))}
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
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
    try:
        yield log
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(log)
            logger.setLevel(level)
        log.put()
