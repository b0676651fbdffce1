"""One HTTP post to an address that a user gave: no redirects, no proxies, bounded time, and an answer read only so far.

Link-local addresses, where clouds keep their metadata services, are refused whatever name leads there.
"""

import http.client
import ipaddress
import socket
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from pipeline.errors import NotToldError

MOST_BYTES: Final = 65_536
"""Of an answer; what it says is not used, only its status."""

_AWS_METADATA: Final = ipaddress.ip_address("fd00:ec2::254")


class Address:
    """A URL that can be posted to.

    Args:
        url: `http://host[:port]/path?query` or `https://...`.

    Raises:
        NotToldError: it is none, or holds a user or password.
    """

    def __init__(self, url: str) -> None:
        if problem := url_problem(url):
            raise NotToldError(f"its URL {problem}", final=True)
        parts = urlsplit(url)
        self.secure = parts.scheme.lower() == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.secure else 80)
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def url_problem(url: str) -> str | None:
    """Why nothing can be posted to a URL, and what would do; None when it can."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is none; give https://host/path"
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        return "must begin with https:// or http:// and name a host"
    if parts.username is not None or parts.password is not None:
        return "must hold no user and no password"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must be ASCII without blanks"
    return None


def post(address: Address, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float) -> int:
    """Post once; gives the status of the answer. Raises: NotToldError: no answer, or none in time; not final."""
    until = time.monotonic() + timeout_seconds
    kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=timeout_seconds)
    try:
        connection.connect()
        _refuse_link_local(connection.sock)
        connection.request("POST", address.path, body=body, headers=dict(headers))
        response = connection.getresponse()
        _drain(response, connection, until)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotToldError(f"{type(error).__name__}: {str(error)[:100]}") from error
    finally:
        connection.close()
    return response.status


def _refuse_link_local(sock: socket.socket) -> None:
    """Raises: NotToldError: the other end is link-local, and none of a user's receivers."""
    peer = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
    plain = getattr(peer, "ipv4_mapped", None) or peer
    if plain.is_link_local or plain == _AWS_METADATA:
        raise NotToldError(f"{peer} is link-local, where metadata services are; nothing is posted there", final=True)


def _drain(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, until: float) -> None:
    """Read the answer as far as it is short and comes in time; a longer one is left alone."""
    read = 0
    while read < MOST_BYTES and (block := response.read1(8192)):
        read += len(block)
        left = until - time.monotonic()
        if left <= 0:
            return
        if connection.sock is not None:
            connection.sock.settimeout(left)
