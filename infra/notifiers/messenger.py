"""Tells news beside a job and never at its cost: to each receiver on a thread of its own (`line.py`)."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from infra.notifiers.line import PATIENT, Line, Open
from infra.notifiers.table import Target, open_notifier, target_of
from infra.stores.retry import RetryPolicy
from pipeline.errors import NotToldError
from pipeline.news import News

END_SECONDS: Final = 20.0
"""How long the end of a job waits for what was not told yet."""

_LOG = logging.getLogger(__name__)


class Messenger:
    """Takes news and tells them to whoever wants to hear them.

    Args:
        targets: of the settings that hold now.
        environ: holds URLs and keys.
        open_: makes a notifier of a target, on that receiver's thread.
        policy: how often, and how patiently, a receiver is tried again.
    """

    def __init__(
        self,
        targets: Callable[[], Sequence[Mapping[str, Any]]],
        environ: Mapping[str, str],
        *,
        open_: Open = open_notifier,
        policy: RetryPolicy = PATIENT,
    ) -> None:
        self._targets, self._environ, self._open, self._policy = targets, environ, open_, policy
        self._lines: dict[Target, Line] = {}

    def tell(self, news: News) -> None:
        """Queue news for all who want them; returns at once and raises nothing."""
        for values in self._targets():
            try:
                target = target_of(values)
            except NotToldError as error:
                _LOG.warning("%s", error)
                continue
            if target.wants(news):
                self._line(target).put(news)

    def wait(self, seconds: float) -> bool:
        """The job has ended: wait for what was not told yet, in all at most so long; gives whether all is told."""
        until = time.monotonic() + seconds
        for line in self._lines.values():
            line.hurry()
        return all(line.wait(max(0.0, until - time.monotonic())) for line in self._lines.values())

    def close(self, seconds: float = END_SECONDS) -> int:
        """Wait as `wait` does; gives how many news are given up then.

        Nothing is told after that, but for the one try of a receiver that is on its way.
        """
        self.wait(seconds)
        return sum(line.give_up() for line in self._lines.values())

    def _line(self, target: Target) -> Line:
        if target not in self._lines:
            self._lines[target] = Line(target, self._environ, open_=self._open, policy=self._policy)
        return self._lines[target]
