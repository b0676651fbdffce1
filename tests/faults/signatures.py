"""Who signed a request and when, as its SigV4 headers say; nothing is verified."""

import re
from datetime import UTC, datetime
from email.message import Message
from typing import Final

from tests.faults.weather import Signed

_KEY: Final = re.compile(r"Credential=([^/,\s]+)/")


def signed_by(headers: Message) -> Signed:
    """The signer of a request; an empty one where it is not signed."""
    found = _KEY.search(headers.get("Authorization") or "")
    if found is None:
        return Signed()
    try:
        at = datetime.strptime(headers.get("X-Amz-Date") or "", "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        at = None
    return Signed(access_key=found[1], at=at)
