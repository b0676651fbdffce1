"""Tells those whom an entry names what no driver tells, as there is no job."""

import os
from datetime import datetime

from jobs.jobfile.notify import targets
from jobs.nightly.nightly_file import Entry
from jobs.telling import tell_at_once
from pipeline.news import Occasion, news_of


def tell_of_run(entry: Entry, occasion: Occasion, *, subject: str, title: str, text: str, now: datetime) -> None:
    """Tell it within bounded time; who cannot be told is not.

    Args:
        entry: says who is told.
        occasion: why.
        subject: what it is about: the same is told under the same id.
        title: one line.
        text: some lines.
        now: UTC.
    """
    if entry.notify:
        news = news_of(entry.name, occasion, subject=subject, at=now.isoformat(), title=title, text=text)
        tell_at_once(news, targets(entry.notify), os.environ)
