"""A local server that receives news: keeps what was posted, and answers as a test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.news import News, Occasion, news_of

FAILED = news_of(
    "demo-0123456789abcdef",
    Occasion.FAILED,
    subject="STOPPED 1",
    at="2026-11-21T03:00:00+00:00",
    title="STOPPED",
    text="the budget of $25 is spent\n<b>900</b> of 1,000 images",
    facts={"state": "STOPPED", "usd": "25.01", "total": 1000},
)
"""Some news."""


def made(number: int, occasion: Occasion = Occasion.STARTED) -> News:
    """Other news, each with an id of its own."""
    return news_of("demo", occasion, subject=str(number), at="2026-11-21T03:00:00+00:00", title=f"#{number}", text="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def values(self) -> dict[str, Any]:
        """The body as JSON."""
        read: dict[str, Any] = json.loads(self.body)
        return read


class Receiver:
    """What the server answers, and what was posted.

    Attributes:
        answers: statuses of the next answers, one each; then 200.
        location: where redirects lead to.
        silent: while it is set nothing is answered at all.
        dripping: whether answers come byte by byte, and never to an end.
        endless: whether answers go on as long as somebody reads.
    """

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.location = ""
        self.silent = False
        self.endless = self.dripping = False
        self.posted: list[Posted] = []
        self.url = ""
        self._changed = threading.Condition()
        self._closing = threading.Event()

    def wait_for(self, count: int) -> None:
        """Until so many requests have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.posted) >= count, timeout=60)

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        """Keep one request and answer it."""
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._changed:
            self.posted.append(Posted(path=request.path, headers=headers, body=body))
            status = self.answers.pop(0) if self.answers else 200
            self._changed.notify_all()
        if self.silent:
            self._closing.wait(60)
            return
        while self.dripping and not self._closing.wait(0.02):
            request.wfile.write(b"H")
        request.send_response(status)
        if self.location:
            request.send_header("Location", self.location)
        request.send_header("Content-Length", str(1 << 40 if self.endless else 2))
        request.end_headers()
        request.wfile.write(b"ok")
        while self.endless and not self._closing.is_set():
            request.wfile.write(b"x" * 4096)

    def close(self) -> None:
        """Let go of those who wait."""
        self._closing.set()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """All news are posts."""
            try:
                state.handle(self)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - http.server's own name
            """Be quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.close()
        server.shutdown()
        server.server_close()
        thread.join()
