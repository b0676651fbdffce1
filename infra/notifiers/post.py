"""One HTTP post to an address that a user gave: no redirects, no proxies, bounded time, and an answer read only so far.

Link-local addresses, where clouds keep their metadata services, are refused whatever name leads there.
"""

import http.client
import ipaddress
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
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
    """Post once; gives the status of the answer.

    Args:
        address: where to.
        body: what.
        headers: of the request.
        timeout_seconds: for the connection, and again for all that comes after it, however slowly it drips.

    Raises:
        NotToldError: no answer, or none in time; not final.
    """
    kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=timeout_seconds)
    try:
        connection.connect()
        _refuse_link_local(connection.sock)
        with _cut_after(timeout_seconds, connection.sock):
            connection.request("POST", address.path, body=body, headers=dict(headers))
            response = connection.getresponse()
            with suppress(OSError, http.client.HTTPException):
                response.read(MOST_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotToldError(f"{type(error).__name__}: {str(error)[:100]}") from error
    finally:
        connection.close()
    return response.status


@contextmanager
def _cut_after(seconds: float, sock: socket.socket) -> Iterator[None]:
    """Whatever the block does with the socket ends by then."""

    def cut() -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _refuse_link_local(sock: socket.socket) -> None:
    """Raises: NotToldError: the other end is link-local, and none of a user's receivers."""
    peer = sock.getpeername()[0]
    if is_link_local(peer):
        raise NotToldError(f"{peer} is link-local, where metadata services are; nothing is posted there", final=True)


def is_link_local(peer: str) -> bool:
    """Whether an IP address, however it is written, is where clouds keep their metadata services."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    plain = getattr(address, "ipv4_mapped", None) or address
    return bool(plain.is_link_local) or plain == _AWS_METADATA
