"""A real HTTP proxy between a client and a real S3 server that loses, cuts, stalls and refuses as its `Weather` says.

    with fault_proxy(server, rates={"slow_down": 0.1, "lost_answer": 0.05}, seed=7) as proxy:
        store = proxy.server.store("prefix")
        proxy.weather.outage(20.0)

The `Host` header passes unchanged, so signatures made for the proxy's address hold at a server that checks them.
"""

import http.client
import select
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

from tests.faults.faults import Asked, CutBody, Fault, Refuse, Reset, ResetInRequest, SpoilBody, Stall
from tests.faults.signatures import signed_by
from tests.faults.weather import Exchange, Weather
from tests.infra.servers import S3Server

ANSWER_SECONDS: Final = 60.0
"""How long the server behind may take."""

_HOP: Final = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length"})

_NOT_FORWARDED: Final = frozenset({"expect", "transfer-encoding", "content-length", "connection"})

_Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultProxy:
    """A running proxy."""

    server: S3Server
    """How to reach the server through the proxy."""
    weather: Weather
    """What it does to whom."""

    @property
    def seen(self) -> list[str]:
        """Methods of the requests so far."""
        return [exchange.method for exchange in list(self.weather.exchanges)]


@contextmanager
def fault_proxy(
    upstream: S3Server, *, rates: Mapping[str, float] | None = None, seed: int = 0, stall_seconds: float = 5.0
) -> Iterator[FaultProxy]:
    """A proxy on a free port of loopback, in threads of this process.

    Args:
        upstream: the real server.
        rates: share of the requests that each fault strikes; see `FAULTS`.
        seed: decides which.
        stall_seconds: how long a stalled request waits.
    """
    weather = Weather(rates=rates, seed=seed, stall_seconds=stall_seconds)
    listener = Listener(upstream.endpoint_url, weather)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, name="fault-proxy")
    thread.start()
    try:
        yield FaultProxy(server=replace(upstream, endpoint_url=listener.url), weather=weather)
    finally:
        listener.shutdown()
        listener.end()
        thread.join()
        listener.server_close()


class Listener(ThreadingHTTPServer):
    """The proxy's socket; a thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream_url: str, weather: Weather) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream_url).netloc
        self.weather = weather
        self.ended = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        """Cut all connections, so that their threads end."""
        self.ended.set()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def opened(self, connection: socket.socket) -> None:
        """Remember a client's connection."""
        with self._lock:
            self._connections.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget it."""
        with self._lock:
            self._connections.discard(connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are what the proxy is for."""


class _Handler(BaseHTTPRequestHandler):
    """One client's connection: requests one after the other, each with the fault that strikes it."""

    server: Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """The connection is there."""
        super().setup()
        self.server.opened(self.connection)
        self._upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        """The connection is gone."""
        self.server.closed(self.connection)
        if self._upstream is not None:
            self._upstream.close()
        with suppress(OSError):
            super().finish()

    def _answer(self) -> None:
        """One request."""
        conditional = self.command == "PUT" and bool({"If-None-Match", "If-Match"} & set(self.headers.keys()))
        asked = Asked(method=self.command, path=self.path, conditional=conditional)
        struck = self.server.weather.strike(asked, signed_by(self.headers))
        name, fault = struck or ("", None)
        answer = None
        if not isinstance(fault, Reset | ResetInRequest):
            sent = self._body()
            if not isinstance(fault, Refuse) and fault != Stall():
                answer = self._forward(sent)
        status = answer[0] if answer else 0
        if fault is None and answer is None:
            name, fault = "server_away", Reset()
        self.server.weather.note(Exchange(method=self.command, path=self.path, fault=name, status=status))
        self._reply(fault, answer)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815 - http.server looks for these names

    def _reply(self, fault: Fault | None, answer: _Answer | None) -> None:
        """Say what this fault leaves of the server's answer."""
        match fault:
            case Refuse() as refusal:
                text = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
                headers = {"Content-Type": "application/xml"}
                if refusal.dated:
                    headers["Date"] = format_datetime(self.server.weather.clock, usegmt=True)
                self._send((refusal.status, headers, text.encode()))
            case ResetInRequest():
                self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
                self._reset()
            case Stall():
                self._stall()
            case CutBody() if answer:
                status, headers, body = answer
                self._send((status, headers, body[: len(body) // 2]), length=len(body))
                self._reset()
            case SpoilBody() if answer and answer[2]:
                status, headers, body = answer
                plain = {key: value for key, value in headers.items() if "checksum" not in key.lower()}
                self._send((status, plain, bytes([body[0] ^ 1]) + body[1:]))
            case None | SpoilBody() if answer:
                self._send(answer)
            case _:
                self._reset()

    def _body(self) -> bytes:
        """The request's body, whole."""
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(1000).split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline(1000)
        while self.rfile.readline(1000).strip():
            pass
        return b"".join(pieces)

    def _forward(self, sent: bytes) -> _Answer | None:
        """Ask the server the same; None when it does not answer."""
        if self._upstream is not None and _is_stale(self._upstream):
            self._upstream.close()
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(self.server.upstream, timeout=ANSWER_SECONDS)
        try:
            self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _NOT_FORWARDED:
                    self._upstream.putheader(name, value)
            self._upstream.putheader("Content-Length", str(len(sent)))
            self._upstream.endheaders(sent)
            response = self._upstream.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        except (OSError, http.client.HTTPException):
            self._upstream.close()
            self._upstream = None
            return None

    def _send(self, answer: _Answer, *, length: int | None = None) -> None:
        """Write an answer that announces `length` bytes."""
        status, headers, body = answer
        head = self.command == "HEAD"
        announced = headers.get("Content-Length", "0") if head else str(len(body) if length is None else length)
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        if status not in {204, 304}:
            self.send_header("Content-Length", announced)
        self.end_headers()
        if not head and status not in {204, 304}:
            self.wfile.write(body)
            self.wfile.flush()

    def _stall(self) -> None:
        """Say nothing for a while, in an outage as long as that lasts; then reset the connection."""
        weather, ended = self.server.weather, self.server.ended
        if weather.outage_left():
            while weather.outage_left() and not ended.wait(0.02):
                pass
        else:
            ended.wait(weather.stall_seconds)
        self._reset()

    def _reset(self) -> None:
        """Close so that the client sees the connection reset."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.closed(self.connection)
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """Whether the server has closed an idle connection: there is something to read where nothing was asked."""
    return connection.sock is not None and bool(select.select([connection.sock], [], [], 0)[0])
