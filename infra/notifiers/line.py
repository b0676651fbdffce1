"""The line to one receiver: a thread, and a bounded queue before it.

What cannot be told is tried again, for some ten minutes, with the same id: it is told at least once as long as the
driver lives, and the receiver is there.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from infra.notifiers.table import Target
from infra.stores.retry import RetryPolicy
from pipeline.errors import NotToldError
from pipeline.news import News
from pipeline.ports import Notifier

MOST_WAITING: Final = 64
"""News that wait; then the oldest of them go."""

PATIENT: Final = RetryPolicy(attempts=25, first_wait_seconds=2.0, longest_wait_seconds=60.0)
"""While the job lives."""

_LAST_WAIT_SECONDS: Final = 1.0
"""Most between two tries once the job has ended."""

_LOG = logging.getLogger(__name__)

Open = Callable[[Target, Mapping[str, str]], Notifier]


class Line:
    """Tells one receiver one thing after the other.

    Args:
        target: whom.
        environ: holds URLs and keys.
        open_: makes the notifier, on this line's thread.
        policy: how often, and how patiently, it is tried again.
    """

    def __init__(self, target: Target, environ: Mapping[str, str], *, open_: Open, policy: RetryPolicy) -> None:
        self._target, self._environ, self._open = target, environ, open_
        self._policy = replace(policy, sleep=self._sleep)
        self._news: deque[News] = deque()  # the first is being told
        self._changed = threading.Condition()
        self._ending = self._over = False
        self._thread = threading.Thread(target=self._run, name=f"news-{target.notifier}", daemon=True)
        self._thread.start()

    def put(self, news: News) -> None:
        """Queue one; never waits."""
        with self._changed:
            if len(self._news) >= MOST_WAITING:
                _LOG.warning("%s: too much waits to be told; not told: %s", self._name, self._news[1].title)
                del self._news[1]
            self._news.append(news)
            self._changed.notify_all()

    def hurry(self) -> None:
        """The job has ended: try again at once, and wait less between tries."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Until all is told, at most so long; gives whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._news, timeout=seconds)

    def give_up(self) -> int:
        """End the thread, after the try that is on its way; gives how many were not told."""
        with self._changed:
            left, self._over, self._ending = tuple(self._news), True, True
            self._news.clear()
            self._changed.notify_all()
        for news in left:
            _LOG.warning("%s: not told in time: %s", self._name, news.title)
        return len(left)

    @property
    def _name(self) -> str:
        return f"notify {self._target.notifier}"

    def _run(self) -> None:
        """Tell what comes, until it is over."""
        notifier: Notifier | None = None
        while (news := self._next()) is not None:
            try:
                notifier = notifier or self._open(self._target, self._environ)
                self._tell(notifier, news)
            except NotToldError as error:
                name = self._name if notifier is None else f"notify {notifier.receiver}"
                _LOG.warning("%s: not told: %s: %s", name, news.title, error)
            except Exception as error:  # noqa: BLE001 - whatever a library raises, the line goes on; its text may be secret
                _LOG.warning("%s: not told: %s: %s", self._name, news.title, type(error).__name__)
            self._done(news)

    def _tell(self, notifier: Notifier, news: News) -> None:
        """Tell it, again where that may help. Raises: NotToldError."""

        def again(error: BaseException) -> bool:
            worth = isinstance(error, NotToldError) and not error.final and not self._over
            if worth:
                _LOG.info("notify %s: will be tried again: %s", notifier.receiver, error)
            return worth

        self._policy.call(lambda: notifier.tell(news), again=again)
        _LOG.info("notify %s: told: %s", notifier.receiver, news.title)

    def _next(self) -> News | None:
        """The next one, once there is one; None when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._news or self._over)
            return None if self._over else self._news[0]

    def _done(self, news: News) -> None:
        with self._changed:
            if self._news and self._news[0] is news:
                self._news.popleft()
            self._changed.notify_all()

    def _sleep(self, seconds: float) -> None:
        """Wait between two tries; the end of the job cuts it short."""
        with self._changed:
            if self._ending:
                self._changed.wait_for(lambda: self._over, timeout=min(seconds, _LAST_WAIT_SECONDS))
            else:
                self._changed.wait_for(lambda: self._ending, timeout=seconds)
