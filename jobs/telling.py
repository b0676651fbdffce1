"""Tells people what happens to a job that is driven here, as its settings say, and never at its cost."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from infra.logs.masking import without_secrets
from infra.notifiers.messenger import END_SECONDS, Messenger
from infra.notifiers.table import open_notifier, target_of
from pipeline.driving.news_watch import NewsWatch
from pipeline.errors import LeaseLostError, NotToldError, SpotrenderError
from pipeline.job import Settings
from pipeline.news import News
from pipeline.status import Status

_QUIET_SECONDS = 2.0
"""So long nothing is said of waiting."""

_LOG = logging.getLogger(__name__)


class Telling:
    """What is worth telling of one driver's job, and to whom.

    Args:
        environ: holds URLs and keys; none of its secrets gets into a message.
        say: told what there is to say of it.
    """

    def __init__(self, environ: Mapping[str, str], *, say: Callable[[str], None] = lambda _text: None) -> None:
        self._say = say
        self._environ = dict(environ)
        self._settings: Callable[[], Settings] = lambda: Settings(nodes=())
        self._messenger = Messenger(lambda: self._settings().notify, self._environ)
        self._watch = NewsWatch(self.tell)
        self._failed = False

    def begin(self, settings: Callable[[], Settings]) -> None:
        """From now on these hold; says what keeps some of their receivers from being told."""
        self._settings = settings
        for problem in unusable(settings().notify, self._environ):
            _LOG.warning("%s", problem)
            self._say(problem)

    def look(self, status: Status) -> None:
        """See whether a status is news; never raises."""
        try:
            self._watch.look(status, self._settings())
        except Exception as error:  # noqa: BLE001 - what is told beside the job must not end it
            if not self._failed:
                _LOG.warning("notify: %s: %s", type(error).__name__, error)
            self._failed = True

    def broke(self, job: str, error: Exception, *, fence: int) -> None:
        """The driver ends in an error; one that lost its lease is not worth telling, as another driver goes on."""
        if isinstance(error, LeaseLostError):
            return
        reason = str(error) if isinstance(error, SpotrenderError) else type(error).__name__
        self._watch.broke(job, reason, at=datetime.now(UTC).isoformat(), fence=fence)

    def close(self) -> bool:
        """Wait for what was not told yet, for bounded time; Ctrl-C ends the waiting. Gives whether all was told."""
        with suppress(KeyboardInterrupt):
            if not self._messenger.wait(_QUIET_SECONDS):
                self._say(
                    f"telling those under notify: what happened, for at most {END_SECONDS:.0f} s; Ctrl-C ends that"
                )
            return self._messenger.close() == 0
        return False

    def tell(self, news: News) -> None:
        """Tell it, without any secret of the environment; returns at once."""
        facts = {name: self._plain(value) if isinstance(value, str) else value for name, value in news.facts.items()}
        self._messenger.tell(replace(news, title=self._plain(news.title), text=self._plain(news.text), facts=facts))

    def _plain(self, text: str) -> str:
        return without_secrets(text, self._environ)


def tell_at_once(news: News, notify: tuple[Mapping[str, Any], ...], environ: Mapping[str, str]) -> bool:
    """Tell one piece of news that no driver tells, within bounded time; what keeps it from being told is logged.

    Gives whether all who want it took it, or will never take it.
    """
    told = Telling(environ)
    told.begin(lambda: Settings(nodes=(), notify=tuple(dict(values) for values in notify)))
    told.tell(news)
    return told.close()


@contextmanager
def telling(environ: Mapping[str, str], *, say: Callable[[str], None]) -> Iterator[Telling]:
    """While the block runs, news can be told; at its end those are waited for that were not told yet."""
    told = Telling(environ, say=say)
    try:
        yield told
    finally:
        told.close()


def unusable(notify: tuple[Mapping[str, Any], ...], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Why some of these receivers cannot be told anything, one line for each."""
    problems = []
    for place, values in enumerate(notify):
        try:
            open_notifier(target_of(values), environ)
        except NotToldError as error:
            problems.append(f"notify[{place}]: {error}; nothing is told there")
        except Exception as error:  # noqa: BLE001 - whatever a library raises must not keep the job from running
            problems.append(f"notify[{place}]: {type(error).__name__}; nothing is told there")
    return tuple(problems)
