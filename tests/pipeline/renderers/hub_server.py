"""A small Hugging Face hub on loopback: repositories of files, one commit each, some gated, all requests kept."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""The commit of every repository's only revision, `main`."""


@dataclass(slots=True)
class Hub:
    """What the server has and what it saw."""

    repositories: Mapping[str, Path]
    """`org/name` -> folder."""
    token: str | None = None
    """Asked of everybody, where given; the repositories are gated then."""
    url: str = ""
    downloads: list[str] = field(default_factory=list)
    """Files fetched, in order."""


class _Server(ThreadingHTTPServer):
    """A server that knows its hub."""

    hub: Hub


class _Handler(BaseHTTPRequestHandler):
    """The few calls of the hub's protocol that resolving and downloading make."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Tests print nothing."""

    def _answer(self, *, body: bool) -> None:
        hub = self.server.hub
        parts = self.path.split("?")[0].strip("/").split("/")
        repository = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        folder = hub.repositories.get(repository)
        if folder is None:
            self._refuse(404, "RepoNotFound")
        elif parts[0] == "api":
            self._describe(repository, folder, parts[5] if len(parts) > 5 else "main")
        elif hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self._refuse(403, "GatedRepo")
        else:
            self._file(folder, "/".join(parts[4:]), body=body)

    def _describe(self, repository: str, folder: Path, revision: str) -> None:
        if revision not in ("main", COMMIT):
            self._refuse(404, "RevisionNotFound")
            return
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        siblings = [{"rfilename": name} for name in names]
        document = {"id": repository, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings}
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"}, body=True)

    def _file(self, folder: Path, name: str, *, body: bool) -> None:
        if not (folder / name).is_file():
            self._refuse(404, "EntryNotFound")
            return
        content = (folder / name).read_bytes()
        if body:
            self.server.hub.downloads.append(name)
        etag = hashlib.sha256(content).hexdigest()
        self._send(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body=body)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code}, body=self.command == "GET")

    def _send(self, status: int, content: bytes, headers: Mapping[str, str], *, body: bool) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve on a free port of loopback until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = hub
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
