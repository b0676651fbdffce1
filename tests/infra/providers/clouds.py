"""Small servers that speak the metadata protocols of the clouds over a real socket, and can be made to misbehave."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NOW_NS = 1_795_000_000_000_000_000
"""What the node's clock says in these tests."""

SECOND = 1_000_000_000


def now_ns() -> int:
    """The node's clock."""
    return NOW_NS


def iso(seconds: float) -> str:
    """So many seconds from now, as AWS writes instants."""
    return datetime.fromtimestamp(NOW_NS / 1e9 + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc1123(seconds: float) -> str:
    """So many seconds from now, as Azure writes instants."""
    return datetime.fromtimestamp(NOW_NS / 1e9 + seconds, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


@dataclass
class Reply:
    """What a server answers."""

    status: int = 200
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class MetadataServer:
    """One server; a test changes what it says while it runs."""

    answer: Callable[[str, str, Mapping[str, str]], Reply]
    """Method, path and headers (names in lower case) become a reply."""
    url: str = ""
    asked: list[str] = field(default_factory=list)
    """Method and path of every request."""
    status: int | None = None
    """Answer every request with this, whatever it is."""
    text: str | None = None
    """The same for the body."""
    delay_seconds: float = 0.0
    """Wait so long before each answer."""
    drip: bool = False
    """Send the body byte by byte, for ever."""


@dataclass
class AwsCloud:
    """What EC2's service knows; it gives tokens, and answers only who has a valid one."""

    values: dict[str, str] = field(default_factory=dict)
    """By path under `/latest/`; all others are 404."""
    tokens: set[str] = field(default_factory=set)

    identity: dict[str, Any] = field(
        default_factory=lambda: {
            "instanceId": "i-0123456789abcdef0",
            "instanceType": "g6e.xlarge",
            "region": "us-east-1",
            "availabilityZone": "us-east-1b",
            "pendingTime": iso(-300),
        }
    )
    """The instance identity document."""

    def __post_init__(self) -> None:
        self.values.setdefault("meta-data/instance-life-cycle", "spot")

    def __call__(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Version 2 of the service alone."""
        if (method, path) == ("PUT", "/latest/api/token"):
            if not 1 <= int(headers.get("x-aws-ec2-metadata-token-ttl-seconds", "0")) <= 21_600:
                return Reply(400)
            self.tokens.add(f"token-{len(self.tokens)}")
            return Reply(text=f"token-{len(self.tokens) - 1}")
        if headers.get("x-aws-ec2-metadata-token") not in self.tokens:
            return Reply(401, "Unauthorized")
        if path == "/latest/dynamic/instance-identity/document":
            return Reply(text=json.dumps(self.identity))
        text = self.values.get(path.removeprefix("/latest/"))
        return Reply(404, "<html>404 - Not Found</html>") if text is None else Reply(text=text)

    def interrupt(self, seconds: float, *, key: str = "action", action: str = "terminate") -> None:
        """Announce the end."""
        self.values["meta-data/spot/instance-action"] = json.dumps({key: action, "time": iso(seconds)})


@dataclass
class GcpCloud:
    """What Google's metadata server knows; it answers only who names the flavour."""

    values: dict[str, str] = field(
        default_factory=lambda: {
            "id": "1234567890123456789",
            "machine-type": "projects/123/machineTypes/g2-standard-8",
            "zone": "projects/123/zones/europe-west4-a",
            "scheduling/preemptible": "TRUE",
            "preempted": "FALSE",
            "maintenance-event": "NONE",
        }
    )
    flavour: str = "Google"

    def __call__(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """One value for each path."""
        if headers.get("metadata-flavor") != "Google":
            return Reply(403, "Missing Metadata-Flavor:Google header.")
        text = self.values.get(path.removeprefix("/computeMetadata/v1/instance/"))
        answered = {"Metadata-Flavor": self.flavour}
        return Reply(404, "not found", answered) if text is None else Reply(200, text, answered)


@dataclass
class AzureCloud:
    """What Azure's services know; they answer only with the header, and for versions that exist."""

    compute: dict[str, Any] = field(
        default_factory=lambda: {
            "name": "gpu-3",
            "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6",
            "vmSize": "Standard_NC4as_T4_v3",
            "location": "westeurope",
            "zone": "2",
            "priority": "Spot",
        }
    )
    events: list[Any] = field(default_factory=list)

    def __call__(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Instance metadata, and the document of events."""
        if headers.get("metadata", "").lower() != "true":
            return Reply(400, '{"error": "Bad request. Required metadata header not specified"}')
        if path == "/metadata/instance/compute?api-version=2021-02-01":
            return Reply(text=json.dumps(self.compute))
        if path == "/metadata/scheduledevents?api-version=2020-07-01":
            return Reply(text=json.dumps({"DocumentIncarnation": 1, "Events": self.events}))
        return Reply(400, '{"error": "Bad request"}')

    def announce(self, seconds: float | None, *, kind: str = "Preempt", machine: str = "gpu-3", **changes: str) -> None:
        """An event; without a time it has started."""
        event = {
            "EventId": f"E{len(self.events)}",
            "EventStatus": "Started" if seconds is None else "Scheduled",
            "EventType": kind,
            "ResourceType": "VirtualMachine",
            "Resources": [machine],
            "NotBefore": "" if seconds is None else rfc1123(seconds),
            "Description": "",
            "EventSource": "Platform",
            "DurationInSeconds": -1,
        }
        self.events.append(event | changes)


@contextmanager
def serving(answer: Callable[[str, str, Mapping[str, str]], Reply]) -> Iterator[MetadataServer]:
    """A server that answers so, on a free port of loopback."""
    server = MetadataServer(answer)
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        """One connection."""

        def _reply(self) -> None:
            server.asked.append(f"{self.command} {self.path}")
            time.sleep(server.delay_seconds)
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.answer(self.command, self.path, headers)
            body = (reply.text if server.text is None else server.text).encode()
            self.send_response(reply.status if server.status is None else server.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if not server.drip:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            while server.drip and not ended.wait(0.05):
                self.wfile.write(b" ")
                self.wfile.flush()

        def do_GET(self) -> None:
            """Answer."""
            self._reply()

        def do_PUT(self) -> None:
            """Answer."""
            self._reply()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parameter's name is given
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        """One that does not complain of askers who gave up."""

        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        server.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        ended.set()
        listening.shutdown()
        thread.join()
