"""The digest of nightly runs: once a day, at least once, and to those alone who ask for it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from jobs.nightly.digest import AGAIN, Told, digest_of, tell_digests
from jobs.nightly.state import EntryBook, EntryState, Run
from jobs.wiring import open_store
from pipeline.driving.lease_state import Owner
from pipeline.news import News, Occasion
from tests.infra.notifiers.receiver import receiver
from tests.jobs.nightly.desk import DUE, GONE, NIGHTLY, Desk, Started

DIGEST = NIGHTLY + "    notify: [{webhook: 'http://127.0.0.1:9/x', on: [digest]}]\n"
HOUR = timedelta(hours=1)


class Mailbox:
    """Who takes messages, or not."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.open = True

    def __call__(self, news: News, notify: tuple[Mapping[str, Any], ...]) -> bool:
        """Take one."""
        assert [set(one["on"]) for one in notify] == [{Occasion.DIGEST.value}]
        self.news.append(news)
        return self.open


def ran(due: datetime, *, ended: datetime | None, state: str = "SUCCEEDED", usd: str = "1.25") -> Run:
    """A run of the entry."""
    return Run(
        due=due,
        started_at=due,
        owner=Owner(host="h", pid=1),
        job="night-0123456789abcdef",
        state=state,
        images=1200,
        usd=Decimal(usd),
        ended_at=ended,
    )


def note(desk: Desk, run: Run) -> None:
    """Put a run into the book."""
    desk.book.change(lambda state: (state or EntryState(since=DUE)).having(run))


def tell(desk: Desk, mailbox: Mailbox, *, at: datetime) -> list[str]:
    """What one call tells, as titles."""
    before = len(mailbox.news)
    tell_digests(desk.file, open_store(desk.file.store), now=at, tell=mailbox)
    return [news.title for news in mailbox.news[before:]]


def test_digest_is_told_once_a_day_after_the_runs(desk: Desk) -> None:
    """With all runs that ended since the last one; never while a run goes on."""
    desk.write(DIGEST)
    mailbox = Mailbox()
    note(desk, ran(DUE, ended=None))
    assert tell(desk, mailbox, at=DUE + HOUR) == []
    note(desk, ran(DUE, ended=DUE + HOUR))
    assert tell(desk, mailbox, at=DUE + 2 * HOUR) == ["nightly: 1 run: 1 SUCCEEDED; 1,200 images, $1.25"]
    assert mailbox.news[0].text == "2026-11-21 02:00  cat  SUCCEEDED  1,200 images, $1.25"
    note(desk, ran(DUE + 3 * HOUR, ended=DUE + 4 * HOUR, state="STOPPED"))
    note(desk, ran(DUE + 5 * HOUR, ended=DUE + 6 * HOUR))
    assert tell(desk, mailbox, at=DUE + 7 * HOUR) == []
    tomorrow = DUE + timedelta(days=1)
    assert tell(desk, mailbox, at=tomorrow) == ["nightly: 2 runs: 1 STOPPED, 1 SUCCEEDED; 2,400 images, $2.50"]
    assert tell(desk, mailbox, at=tomorrow + timedelta(days=1)) == []


def test_digest_that_nobody_took_is_told_again_under_its_id(desk: Desk) -> None:
    """An hour later, and with the same id; a second caller does not tell it meanwhile."""
    desk.write(DIGEST)
    mailbox = Mailbox()
    mailbox.open = False
    note(desk, ran(DUE, ended=DUE + HOUR))
    now = DUE + 2 * HOUR
    assert len(tell(desk, mailbox, at=now)) == 1
    assert tell(desk, mailbox, at=now + AGAIN / 2) == []
    mailbox.open = True
    assert len(tell(desk, mailbox, at=now + AGAIN)) == 1
    assert len({news.id for news in mailbox.news}) == 1
    assert tell(desk, mailbox, at=now + 3 * AGAIN) == []


def test_one_receiver_hears_of_all_entries_in_one_message(desk: Desk) -> None:
    """Two entries, one webhook; an entry that asks for no digest is not in it."""
    third = DIGEST.partition("nightly:\n")[2]
    desk.write(
        DIGEST
        + third.replace("name: cat", "name: dog")
        + third.replace("name: cat", "name: sun").replace("digest", "failed")
    )
    store = open_store(desk.file.store)
    for name in ("cat", "dog", "sun"):
        EntryBook(store, name).change(lambda state: (state or EntryState(since=DUE)).having(ran(DUE, ended=DUE + HOUR)))
    mailbox = Mailbox()
    assert tell(desk, mailbox, at=DUE + HOUR) == ["nightly: 2 runs: 2 SUCCEEDED; 2,400 images, $2.50"]
    assert [one["entry"] for one in mailbox.news[0].facts["runs"]] == ["cat", "dog"]


def test_long_digest_is_cut_and_its_figures_are_not(desk: Desk) -> None:
    """A run every minute: the text names sixty, the facts all."""
    entry = desk.file.nightly[0]
    runs = [ran(DUE + timedelta(minutes=n), ended=DUE + HOUR, usd="0.1") for n in range(100)]
    news = digest_of([Told(entry=entry, run=replace(run, message="a\x1b[31m\nb")) for run in runs], now=DUE)
    assert news.text.count("\n") == 60
    assert news.text.endswith("and 40 more; `spotrender nightly list` shows them")
    assert "\x1b" not in news.text
    assert (len(news.facts["runs"]), news.facts["usd"]) == (100, "10.0")


def test_call_of_nightly_run_tells_the_digest(desk: Desk) -> None:
    """To a real receiver, once."""
    with receiver() as there:
        desk.write(NIGHTLY + f"    notify: [{{webhook: '{there.url}/x', on: [digest]}}]\n")
        note(desk, ran(DUE, ended=DUE + HOUR))
        for hours in (2, 3):
            desk.now = DUE + hours * HOUR
            desk.caller(lambda _name, _due: Started(GONE)).look()
        (posted,) = there.posted
        assert (posted.values["event"], posted.values["job"]) == ("digest", "nightly")
        assert [run["entry"] for run in posted.values["status"]["runs"]] == ["cat"]
