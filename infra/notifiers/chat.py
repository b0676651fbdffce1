"""Tells chats and mailboxes through Apprise, which speaks to more than a hundred services, each by a URL of its own.

Such a URL holds passwords and tokens, so it is only ever taken from the environment.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Self

from infra.notifiers.table import Target, variable
from pipeline.errors import NotToldError
from pipeline.news import News, Occasion

if TYPE_CHECKING:
    from apprise import Apprise

TIMEOUT_SECONDS: Final = 20
"""For all that Apprise does for one message."""

_BAD: Final = frozenset({Occasion.FAILED, Occasion.DEADLINE, Occasion.FAILURES, Occasion.BUDGET})


class ChatNotifier:
    """Implements `pipeline.ports.Notifier`.

    Args:
        apprise: knows one service.
        name: of the variable that its URL came from.
    """

    def __init__(self, apprise: "Apprise", *, name: str) -> None:
        self._apprise, self._name = apprise, name

    @classmethod
    def open(cls, target: Target, environ: Mapping[str, str]) -> Self:
        """See `open_notifier`."""
        url = variable(target.url_env, environ)
        try:
            from apprise import Apprise, AppriseAsset
        except ImportError:
            raise NotToldError('Apprise is not installed: pip install "spotrender[notify]"', final=True) from None
        asset = AppriseAsset(app_id="Spotrender", storage_mode="memory", service_timeout=TIMEOUT_SECONDS)
        apprise = Apprise(asset=asset)
        if not apprise.add(url):
            raise NotToldError(f"Apprise knows no service for what {target.url_env} holds", final=True)
        return cls(apprise, name=target.url_env)

    @property
    def receiver(self) -> str:
        """The variable; its URL is a secret."""
        return f"apprise {self._name}"

    def tell(self, news: News) -> None:
        """See the port."""
        from apprise import NotifyFormat, NotifyType

        kind = NotifyType.WARNING if news.occasion in _BAD else NotifyType.INFO
        if not self._apprise.notify(body=news.text, title=news.title, notify_type=kind, body_format=NotifyFormat.TEXT):
            raise NotToldError("Apprise could not deliver it")
