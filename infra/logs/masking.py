"""Takes secrets out of text that goes to a log, to people or other services: the one place that knows their looks."""

import re
from collections.abc import Mapping
from typing import Final

HIDDEN: Final = "[hidden]"

_SHORTEST: Final = 8
"""A value that is shorter is found in too many other words."""

_NAMES: Final = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY|SIGNING_KEY", re.IGNORECASE)
"""Variables named so hold secrets."""

_LOOKS: Final = re.compile(
    r"(?P<before>://)[^/\s@]+(?=@)"  # user and password in a URL
    # A field of a query, a header, a configuration file or JSON that is named like a secret.
    r"|(?P<name>\b(?:X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)"
    r"|AWSAccessKeyId|Signature|Credential|aws_(?:access_key_id|secret_access_key|session_token)|(?:api|access)[_-]?key"
    r"|secret[_-]?access[_-]?key|(?:access|refresh|session|auth|security)?[_-]?token|password|passwd|secret|sig)"
    r"[\"']?\s*[=:]\s*[\"']?)(?!\[hidden\])[^&\s\"',;}]+"
    r"|(?P<bearer>\b(?:Bearer|Basic)\s+)[\w.~+/=-]{4,}"
    r"|\bhf_[A-Za-z0-9]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[opsu]_[A-Za-z0-9]{30,}",
    re.IGNORECASE,
)


class Mask:
    """What to hide for one process.

    Args:
        environ: its variables; the values of those that are named like secrets are hidden wherever they stand.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        found = {value for name, value in environ.items() if len(value) >= _SHORTEST and _NAMES.search(name)}
        self._values = sorted(found, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without those values, and without what looks like a secret."""
        for value in self._values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return _LOOKS.sub(lambda found: (found["before"] or found["name"] or found["bearer"] or "") + HIDDEN, text)


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """The same for one text."""
    return Mask(environ).hide(text)
