"""A local server that speaks as much of EC2's query protocol and of the Price List's JSON protocol as prices need."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class PriceServer:
    """What the server answers, and what it was asked.

    Attributes:
        spot: rows of the spot price history: zone, instant, price.
        products: prices of the Price List for the type that is asked for.
        errors: codes with which the next calls fail, one each.
        raw: a body that every call is answered with, whatever it asks.
        page: rows of a page.
    """

    def __init__(self) -> None:
        self.spot: list[tuple[str, str, str]] = []
        self.products: list[dict[str, Any]] = []
        self.errors: list[tuple[int, str]] = []
        self.raw: bytes | None = None
        self.page = 2
        self.asked: list[dict[str, Any]] = []

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Status, type and body for one call."""
        target = headers.get("x-amz-target", "")
        fields = json.loads(body) if target else {key: values[0] for key, values in parse_qs(body.decode()).items()}
        self.asked.append(fields)
        if self.errors:
            status, code = self.errors.pop(0)
            return status, "text/xml", self._error(code, is_json=bool(target))
        if self.raw is not None:
            return 200, "text/xml", self.raw
        if target:
            return 200, "application/x-amz-json-1.1", self._products(fields)
        return 200, "text/xml", self._spot(fields)

    def _spot(self, fields: dict[str, str]) -> bytes:
        start = datetime.fromisoformat(fields["StartTime"])
        rows = [row for row in self.spot if fields.get("AvailabilityZone") in {None, row[0]}]
        rows = sorted(rows, key=lambda row: row[1], reverse=True)
        last_before: set[str] = set()
        kept = []
        for zone, at, price in rows:
            before = datetime.fromisoformat(at) <= start
            if not before or zone not in last_before:
                kept.append((zone, at, price))
            if before:
                last_before.add(zone)
        offset = int(fields.get("NextToken", "0"))
        items = "".join(
            f"<item><instanceType>{fields['InstanceType.1']}</instanceType><productDescription>Linux/UNIX"
            f"</productDescription><spotPrice>{price}</spotPrice><timestamp>{at}</timestamp>"
            f"<availabilityZone>{zone}</availabilityZone></item>"
            for zone, at, price in kept[offset : offset + self.page]
        )
        more = str(offset + self.page) if offset + self.page < len(kept) else ""
        return (
            f'<DescribeSpotPriceHistoryResponse xmlns="{_NAMESPACE}"><requestId>r</requestId><spotPriceHistorySet>'
            f"{items}</spotPriceHistorySet><nextToken>{more}</nextToken></DescribeSpotPriceHistoryResponse>"
        ).encode()

    def _products(self, fields: dict[str, Any]) -> bytes:
        offset = int(fields.get("NextToken", "0"))
        page = [json.dumps(product) for product in self.products[offset : offset + self.page]]
        more = {"NextToken": str(offset + self.page)} if offset + self.page < len(self.products) else {}
        return json.dumps({"FormatVersion": "aws_v1", "PriceList": page} | more).encode()

    def _error(self, code: str, *, is_json: bool) -> bytes:
        if is_json:
            return json.dumps({"__type": code, "message": "no"}).encode()
        return f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>".encode()


def product(usd: str, *, node_type: str = "g5.xlarge", unit: str = "Hrs", since: str = "2026-11-01T00:00:00Z") -> Any:
    """One product of the Price List."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}, "description": "per hour"}
    return {
        "product": {"attributes": {"instanceType": node_type, "regionCode": "eu-west-1"}, "sku": "S"},
        "terms": {"OnDemand": {"S.J": {"effectiveDate": since, "priceDimensions": {"S.J.6": dimension}}}},
    }


def instant_ns(text: str) -> int:
    """Nanoseconds of an instant, UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@contextmanager
def price_server() -> Iterator[tuple[PriceServer, str]]:
    """A server on loopback, and its endpoint."""
    state = PriceServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """All calls of both protocols are posts."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, kind, answer = state.answer(headers, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - http.server's own name
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
