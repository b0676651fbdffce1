"""An HTTP server that answers as it was told and keeps what it was asked; over TLS with a certificate of its own."""

import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.stores.s3_client import S3Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"ETag": '"e"'})
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedServer:
    """What to say, and what was heard."""

    url: str
    script: deque[Said]
    """Used up one per request; afterwards a success without a body."""
    heard: list[Heard]

    @property
    def access(self) -> S3Access:
        """What an `S3Store` needs to reach it."""
        return S3Access(endpoint_url=self.url, region="us-east-1", access_key="key", secret_key="secret")


class _Listener(ThreadingHTTPServer):
    """The socket."""

    daemon_threads = True
    script: deque[Said]
    heard: list[Heard]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that refuse the certificate go away."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _Listener
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.heard.append(Heard(method=self.command, path=self.path, headers=headers, body=body))
        said = self.server.script.popleft() if self.server.script else Said()
        self.send_response_only(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815 - http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@contextmanager
def scripted_server(certificate: Path | None = None) -> Iterator[ScriptedServer]:
    """A server on a free port of loopback; over TLS where there is a PEM file of key and certificate."""
    listener = _Listener(("127.0.0.1", 0), _Handler)
    listener.script, listener.heard = deque(), []
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    scheme = "http" if certificate is None else "https"
    try:
        yield ScriptedServer(
            url=f"{scheme}://127.0.0.1:{listener.server_address[1]}", script=listener.script, heard=listener.heard
        )
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def self_signed(path: Path) -> Path:
    """A fresh key and a certificate for 127.0.0.1 that nobody vouches for, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path
