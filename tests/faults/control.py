"""Orders to a proxy that runs in another process, over HTTP on a port of its own."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

from tests.faults.weather import OutageKind, Weather


class Control:
    """Orders to a proxy by its control URL; each takes effect before the call returns.

    Args:
        url: what `serve_control` gave, or `python -m tests.faults` printed.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def set_rates(self, rates: Mapping[str, float], *, seed: int | None = None) -> None:
        """See `Weather.set_rates`."""
        self._order("set_rates", rates=dict(rates), seed=seed)

    def outage(self, seconds: float, *, after: float = 0.0, kind: OutageKind = "reset") -> None:
        """See `Weather.outage`."""
        self._order("outage", seconds=seconds, after=after, kind=kind)

    def expire(self, access_keys: list[str]) -> None:
        """See `Weather.expire`."""
        self._order("expire", access_keys=access_keys)

    def set_clock_ahead(self, seconds: float) -> None:
        """See `Weather.set_clock_ahead`."""
        self._order("set_clock_ahead", seconds=seconds)

    @property
    def counts(self) -> dict[str, int]:
        """See `Weather.counts`."""
        with urlopen(self.url, timeout=10) as answer:  # noqa: S310 - the URL of our own process
            counts: dict[str, int] = json.load(answer)
            return counts

    def _order(self, name: str, **values: Any) -> None:
        body = json.dumps(values).encode()
        with urlopen(Request(f"{self.url}/{name}", data=body), timeout=10):  # noqa: S310 - the same
            pass


@contextmanager
def serve_control(weather: Weather) -> Iterator[Control]:
    """Listen for orders on a free port of loopback."""
    listener = _Listener(weather)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, name="fault-control")
    thread.start()
    try:
        yield Control(f"http://127.0.0.1:{listener.server_address[1]}")
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


class _Listener(ThreadingHTTPServer):
    """The control port."""

    daemon_threads = True

    def __init__(self, weather: Weather) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.orders: dict[str, Callable[..., None]] = {
            "/set_rates": weather.set_rates,
            "/outage": weather.outage,
            "/expire": weather.expire,
            "/set_clock_ahead": weather.set_clock_ahead,
        }
        self.weather = weather


class _Handler(BaseHTTPRequestHandler):
    """GET gives the counts; POST to the name of an order, with its values as JSON, gives that order."""

    server: _Listener

    def do_GET(self) -> None:
        """The counts."""
        self._say(200, json.dumps(self.server.weather.counts))

    def do_POST(self) -> None:
        """An order."""
        values = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        order = self.server.orders.get(self.path)
        if order is None:
            self._say(404, "no such order")
            return
        try:
            order(**values)
        except (TypeError, ValueError) as error:
            self._say(400, str(error))
            return
        self._say(200, "done")

    def _say(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""
