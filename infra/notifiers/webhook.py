"""Posts news as JSON to a URL, signed as the Standard Webhooks specification says (standardwebhooks.com).

Headers: `webhook-id` is the news' id, the same at every try; `webhook-timestamp` is of this try, seconds since the
epoch; `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`. The key is what stands
in the variable; after `whsec_` it is base64.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from infra.notifiers.post import Address, post
from infra.notifiers.table import Target, variable
from pipeline.errors import NotToldError
from pipeline.news import News

NEWS_SCHEMA: Final = 1
"""Version of the body."""

TIMEOUT_SECONDS: Final = 10.0
"""For one try, from the connection to the end of the answer."""

_AGAIN: Final = frozenset({408, 409, 425, 429})
"""Answers, beside 5xx, after which it is tried again."""


class WebhookNotifier:
    """Implements `pipeline.ports.Notifier`.

    Args:
        url: `http://` or `https://`.
        key: of the signature; empty: none is made.
        now: seconds since the epoch.
        timeout_seconds: for one try.
    """

    def __init__(
        self, url: str, *, key: bytes, now: Callable[[], float] = time.time, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._address, self._key, self._now, self._timeout_seconds = Address(url), key, now, timeout_seconds

    @classmethod
    def open(cls, target: Target, environ: Mapping[str, str]) -> Self:
        """See `open_notifier`."""
        url = variable(target.url_env, environ) if target.url_env else target.url
        key = signing_key(variable(target.secret_env, environ)) if target.secret_env else b""
        return cls(url, key=key)

    @property
    def receiver(self) -> str:
        """The host; a path may be as good as a password."""
        return f"webhook {self._address.host}"

    def tell(self, news: News) -> None:
        """See the port; a redirect is not followed."""
        body = news_to_json(news)
        timestamp = int(self._now())
        headers = {"content-type": "application/json", "user-agent": "spotrender"} | {
            "webhook-id": news.id,
            "webhook-timestamp": str(timestamp),
        }
        if self._key:
            headers["webhook-signature"] = signature(self._key, id_=news.id, timestamp=timestamp, body=body)
        status = post(self._address, body, headers, timeout_seconds=self._timeout_seconds)
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise NotToldError(f"HTTP {status}: it redirects, which is not followed; give its new address", final=True)
        raise NotToldError(f"HTTP {status}", final=status < 500 and status not in _AGAIN)


def signature(key: bytes, *, id_: str, timestamp: int, body: bytes) -> str:
    """The header that says that whoever holds the key wrote this, then."""
    digest = hmac.new(key, f"{id_}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def signing_key(secret: str) -> bytes:
    """The key that a variable holds. Raises: NotToldError: no base64 after `whsec_`."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise NotToldError("the secret begins with whsec_, so base64 must follow", final=True) from None


def news_to_json(news: News) -> bytes:
    """The body."""
    values: dict[str, Any] = {
        "schema": NEWS_SCHEMA,
        "id": news.id,
        "event": news.occasion.value,
        "at": news.at,
        "job": news.job,
        "title": news.title,
        "text": news.text,
        "status": dict(news.facts),
    }
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")
