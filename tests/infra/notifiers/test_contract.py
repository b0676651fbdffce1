"""What holds for every entry of the table of notifiers, before a local server."""

from collections.abc import Callable, Iterator

import pytest

from infra.notifiers.table import NOTIFIERS, Target, open_notifier, target_of
from pipeline.errors import NotToldError
from pipeline.news import Occasion
from tests.infra.notifiers.receiver import FAILED, Receiver, receiver

PASSWORD = "correct-horse-battery"
URLS: dict[str, Callable[[Receiver], str]] = {
    "apprise": lambda there: there.url.replace("http://", f"json://user:{PASSWORD}@"),
    "webhook": lambda there: f"{there.url}/{PASSWORD}",
}
"""Of the server, as each notifier takes it."""


@pytest.fixture
def there() -> Iterator[Receiver]:
    """Somebody who wants to hear."""
    with receiver() as made:
        yield made


def test_every_notifier_is_tested() -> None:
    """A new line of the table needs a URL here."""
    assert set(URLS) == set(NOTIFIERS)


@pytest.mark.parametrize("name", NOTIFIERS)
def test_news_arrive(name: str, there: Receiver) -> None:
    """Once, with title and text."""
    open_notifier(Target(notifier=name, url_env="HOOK"), {"HOOK": URLS[name](there)}).tell(FAILED)
    (posted,) = there.posted
    assert FAILED.title in posted.body.decode()
    assert "the budget of $25 is spent" in posted.body.decode()


@pytest.mark.parametrize("name", NOTIFIERS)
def test_refused_news_are_not_told(name: str, there: Receiver) -> None:
    """An error of the server is worth another try."""
    notifier = open_notifier(Target(notifier=name, url_env="HOOK"), {"HOOK": URLS[name](there)})
    there.answers = [500]
    with pytest.raises(NotToldError) as refused:
        notifier.tell(FAILED)
    assert not refused.value.final
    assert PASSWORD not in f"{refused.value} {notifier.receiver}"
    notifier.tell(FAILED)
    assert len(there.posted) == 2


@pytest.mark.parametrize("name", NOTIFIERS)
@pytest.mark.parametrize("environ", [{}, {"HOOK": " "}, {"HOOK": f"nonsense {PASSWORD}"}])
def test_unusable_target_is_told_before_anything_is_sent(name: str, environ: dict[str, str]) -> None:
    """With what to mend, and without what the variable holds."""
    with pytest.raises(NotToldError) as refused:
        open_notifier(Target(notifier=name, url_env="HOOK"), environ)
    assert refused.value.final
    assert PASSWORD not in str(refused.value)


def test_target_survives_the_settings() -> None:
    """As JSON has it."""
    target = Target(notifier="webhook", url="https://h/x", secret_env="KEY", on=(Occasion.FAILED, Occasion.BUDGET))
    assert target_of(target.values()) == target


@pytest.mark.parametrize("values", [{}, {"notifier": "webhook", "on": ["eclipse"]}, {"on": [], "colour": "red"}])
def test_target_of_a_newer_version_is_refused(values: dict[str, object]) -> None:
    """And nothing else happens."""
    with pytest.raises(NotToldError):
        target_of(values)


def test_unknown_notifier_is_refused() -> None:
    """By name."""
    with pytest.raises(NotToldError, match="pigeon"):
        open_notifier(Target(notifier="pigeon"), {})
