"""News are told at least once, and whoever does not listen costs the job nothing."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from infra.notifiers.line import MOST_WAITING
from infra.notifiers.messenger import Messenger
from infra.notifiers.table import Target
from infra.stores.retry import RetryPolicy
from pipeline.errors import NotToldError
from pipeline.news import News, Occasion
from pipeline.ports import Notifier
from tests.infra.notifiers.receiver import FAILED, Receiver, made, receiver

QUICK = RetryPolicy(attempts=25, first_wait_seconds=0.001, longest_wait_seconds=0.001)
LONG = 60.0
"""More than any of this takes."""


class Held:
    """A notifier that tells nothing before it is let go, and knows what it was asked for."""

    receiver = "held"

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), threading.Event()
        self.told: list[News] = []

    def tell(self, news: News) -> None:
        """Hang."""
        self.asked.set()
        self.go.wait(LONG)
        self.told.append(news)


@pytest.fixture
def there() -> Iterator[Receiver]:
    """Somebody who wants to hear."""
    with receiver() as state:
        yield state


@pytest.fixture
def held() -> Iterator[Held]:
    """Somebody who hangs until the test is over."""
    notifier = Held()
    yield notifier
    notifier.go.set()


def messenger(*targets: Target, notifier: Callable[[Target], Notifier] | None = None) -> Messenger:
    """One that is impatient."""

    def opened(target: Target, _environ: Mapping[str, str]) -> Notifier:
        assert notifier is not None
        return notifier(target)

    values: list[Mapping[str, Any]] = [target.values() for target in targets]
    if notifier is None:
        return Messenger(lambda: values, {}, policy=QUICK)
    return Messenger(lambda: values, {}, policy=QUICK, open_=opened)


def hook(there: Receiver, *on: Occasion) -> Target:
    """The receiver as a target."""
    return Target(notifier="webhook", url=there.url, on=on or tuple(Occasion))


def test_news_come_in_order_to_those_who_want_them(there: Receiver) -> None:
    """What is not under `on:` is not told."""
    with receiver() as other:
        told = messenger(hook(there), hook(other, Occasion.FAILED))
        for number in range(3):
            told.tell(made(number))
        told.tell(FAILED)
        assert told.close(LONG) == 0
        assert [posted.values["title"] for posted in there.posted] == ["demo: #0", "demo: #1", "demo: #2", FAILED.title]
        assert [posted.values["title"] for posted in other.posted] == [FAILED.title]


def test_receiver_in_trouble_is_told_until_it_has_it(there: Receiver) -> None:
    """The same event, by its id; then the next one."""
    there.answers = [500, 503, 429, 502]
    told = messenger(hook(there))
    told.tell(FAILED)
    told.tell(made(1))
    assert told.close(LONG) == 0
    ids = [posted.values["id"] for posted in there.posted]
    assert ids == [FAILED.id] * 5 + [made(1).id]


def test_receiver_that_wants_nothing_is_not_pressed(there: Receiver) -> None:
    """A final no is one try, and keeps nothing else from being told."""
    there.answers = [404]
    told = messenger(hook(there))
    told.tell(FAILED)
    told.tell(made(1))
    assert told.close(LONG) == 0
    assert [posted.values["id"] for posted in there.posted] == [FAILED.id, made(1).id]


def test_hanging_receiver_holds_up_neither_job_nor_others(there: Receiver, held: Held) -> None:
    """Telling returns while it hangs; the others hear at once; the end of the job gives up what is left."""
    from infra.notifiers.webhook import WebhookNotifier

    dead = Target(notifier="dead")

    def notifier(target: Target) -> Notifier:
        return held if target == dead else WebhookNotifier(there.url, key=b"")

    told = messenger(dead, hook(there), notifier=notifier)
    told.tell(FAILED)
    told.tell(made(1))
    assert held.asked.wait(LONG)
    there.wait_for(2)
    assert told.close(0) >= 2, "both that nobody heard, and perhaps the one whose answer has not come yet"
    assert held.told == []


def test_what_was_given_up_is_told_no_more(held: Held) -> None:
    """But for the try that was on its way."""
    told = messenger(Target(notifier="held"), notifier=lambda _: held)
    told.tell(made(1))
    told.tell(made(2))
    assert held.asked.wait(LONG)
    assert told.close(0) == 2
    held.go.set()
    for thread in threading.enumerate():
        if thread.name == "news-held":
            thread.join(LONG)
    assert held.told == [made(1)]


def test_too_many_news_cost_the_oldest_of_them(held: Held) -> None:
    """Memory is bounded, whoever hangs for however long."""
    told = messenger(Target(notifier="held"), notifier=lambda _: held)
    told.tell(made(0))
    assert held.asked.wait(LONG)
    for number in range(1, 200):
        told.tell(made(number))
    held.go.set()
    assert told.close(LONG) == 0
    assert held.told == [made(0), *[made(number) for number in range(200 - MOST_WAITING + 1, 200)]]


@pytest.mark.parametrize("error", [NotToldError("the variable X is not set", final=True), ValueError("a secret")])
def test_notifier_that_cannot_be_made_hurts_nobody(
    error: Exception, caplog: pytest.LogCaptureFixture, there: Receiver
) -> None:
    """It is said, and what a library says of its own is not repeated."""
    broken = Target(notifier="broken")

    def notifier(target: Target) -> Notifier:
        from infra.notifiers.webhook import WebhookNotifier

        if target == broken:
            raise error
        return WebhookNotifier(there.url, key=b"")

    told = messenger(broken, hook(there), notifier=notifier)
    told.tell(FAILED)
    assert told.close(LONG) == 0
    assert len(there.posted) == 1
    assert "not told" in caplog.text
    assert "a secret" not in caplog.text


def test_settings_of_a_newer_version_hurt_nobody(there: Receiver) -> None:
    """The targets that are understood are told."""
    told = Messenger(lambda: [{"pigeon": "x"}, hook(there).values()], {}, policy=QUICK)
    told.tell(FAILED)
    assert told.close(LONG) == 0
    assert len(there.posted) == 1
