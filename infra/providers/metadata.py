"""Asks a cloud's metadata service on this machine: quickly, without proxies or redirects, believing little.

Only link-local addresses are asked, or where that cloud's own tools have been redirected to.
"""

import http.client
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from infra.providers.reports import SECOND_NS, SilentError

LINK_LOCAL: Final = "http://169.254.169.254"
"""Where AWS, Google and Azure all keep it."""

MOST_BYTES: Final = 65_536
"""No answer that we ask for is longer."""

_BLOCK = 8192
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer."""

    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""


class Metadata:
    """One service.

    Args:
        endpoint: `http://host[:port]`.
        timeout_seconds: for a whole question and its answer.
    """

    def __init__(self, endpoint: str, *, timeout_seconds: float) -> None:
        parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        self._host, self._port = parts.hostname or "", _port_of(parts)
        self._path = parts.path.rstrip("/")
        self._scheme = parts.scheme
        self._timeout_seconds = timeout_seconds

    def ask(
        self, path: str, *, headers: Mapping[str, str], method: Literal["GET", "PUT"] = "GET", seconds: float = 0.0
    ) -> Answer:
        """Ask once.

        Args:
            path: with its leading slash.
            headers: of the request.
            method: of HTTP.
            seconds: another limit than the usual one.

        Raises:
            SilentError: no answer in time, too long a one, too many requests, or an error of the service.
        """
        if self._scheme != "http" or not self._host or self._port is None:
            raise SilentError("its address is no http://host[:port]")
        until = time.monotonic() + (seconds or self._timeout_seconds)
        connection = http.client.HTTPConnection(self._host, self._port, timeout=seconds or self._timeout_seconds)
        try:
            connection.request(method, self._path + path, headers=dict(headers))
            response = connection.getresponse()
            body = _read(response, connection, until)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SilentError(f"{path}: {type(error).__name__}: {str(error)[:100]}") from error
        finally:
            connection.close()
        if response.status == http.client.TOO_MANY_REQUESTS or response.status >= 500:
            raise SilentError(f"{path}: HTTP {response.status}")
        told = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, text=body.decode("utf-8", "replace"), headers=told)


def _port_of(parts: Any) -> int | None:
    """The port, 80 by default; None when it is none."""
    try:
        return parts.port or 80
    except ValueError:
        return None


def _read(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, until: float) -> bytes:
    """The body, if it is short and comes in time, however slowly it drips."""
    body = b""
    while block := response.read1(_BLOCK):
        body += block
        left = until - time.monotonic()
        if len(body) > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES} bytes")
        if left <= 0:
            raise TimeoutError("the answer took too long")
        if connection.sock is not None:
            connection.sock.settimeout(left)
    return body


def document(answer: Answer, what: str) -> dict[str, Any]:
    """A JSON object. Raises: SilentError: it is none."""
    try:
        values = json.loads(answer.text)
    except (ValueError, RecursionError):
        values = None
    if answer.status != http.client.OK or not isinstance(values, dict):
        raise SilentError(f"{what}: HTTP {answer.status}, not what was expected: {answer.text[:60]!r}")
    return values


def name_in(value: object) -> str:
    """A name such as an instance's type or zone; empty when it is no sane one."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else ""


def instant_ns(value: object) -> int | None:
    """An ISO instant as nanoseconds since the epoch, UTC where it names no zone; None when it is none."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * SECOND_NS)
    except (ValueError, OverflowError):
        return None
