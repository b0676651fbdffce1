"""Moto's S3 behind a gate that asks the policies of whoever calls; moto's own reading of them knows no conditions.

Like S3 it calls a missing key forbidden, not missing, where the caller may not list the bucket.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.infrastructure.policy import Policy, allows

_REFUSED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'

_OVER_TLS = {"aws:SecureTransport": "true"}
"""What every request is taken for."""

_NOT_NEEDED = {"acl", "tagging", "retention", "legal-hold", "versionId"}
"""Parts of S3 that nothing of ours asks for."""

Environ = Mapping[str, Any]
"""Of a WSGI request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, as policies see it."""

    action: str
    resource: str
    context: dict[str, str]

    def __str__(self) -> str:
        return f"{self.action} {self.resource}"


@dataclass(slots=True, kw_only=True)
class Gate:
    """Who may do what, and what was refused."""

    endpoint_url: str
    policies: dict[str, Sequence[Policy]] = field(default_factory=dict)
    """Access key -> policies of its role."""
    refused: list[str] = field(default_factory=list)
    """Role, action and resource of every refusal."""

    def admits(self, role: str, asked: Asked) -> bool:
        """Whether the role may; a refusal is noted."""
        if allows(self.policies.get(role, ()), asked.action, asked.resource, asked.context | _OVER_TLS):
            return True
        self.refused.append(f"{role}: {asked}")
        return False

    def environment(self, role: str) -> dict[str, str]:
        """The variables with which a process has a role."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": role,
            "AWS_SECRET_ACCESS_KEY": "none",
        }


class _Silent(WSGIRequestHandler):
    """Says nothing of each request."""

    def log_request(self, *_arguments: Any) -> None:
        """See the class."""


@contextmanager
def gate(policies: Mapping[str, Sequence[Policy]]) -> Iterator[Gate]:
    """A gate on a free port, before the moto of this process."""
    moto: Any = DomainDispatcherApplication(create_backend_app)
    door = Gate(endpoint_url="", policies=dict(policies))

    def application(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        role, asked = caller(environ), asked_for(environ)
        if not door.admits(role, asked):
            start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_REFUSED)))])
            return [_REFUSED]
        begun: list[Any] = []
        body: Iterable[bytes] = moto(environ, lambda *answer: begun.extend(answer[:2]))
        missing = begun[0].startswith("404") and asked.action == "s3:GetObject"
        bucket = Asked(action="s3:ListBucket", resource=asked.resource.partition("/")[0], context={})
        if missing and not allows(door.policies[role], bucket.action, bucket.resource, _OVER_TLS):
            start("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_REFUSED)))])
            return [_REFUSED]
        start(*begun)
        return body

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Silent)
    door.endpoint_url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="gate", daemon=True)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def caller(environ: Environ) -> str:
    """The access key in the signature; empty where there is none."""
    found = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    return found.group(1) if found else ""


def asked_for(environ: Environ) -> Asked:
    """The action that S3 checks for a request; one that no role needs has a name that no policy allows."""
    method, query = environ["REQUEST_METHOD"], parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        listed = method == "GET" and query.get("list-type") == ["2"]
        return Asked(action="s3:ListBucket" if listed else f"not-needed:{method}", resource=arn, context={})
    action = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
    named = action.get(method, f"not-needed:{method}")
    if method == "POST" and query.keys() & {"uploads", "uploadId"}:
        named = "s3:PutObject"
    elif method == "DELETE" and "uploadId" in query:
        named = "s3:AbortMultipartUpload"
    elif (
        query.keys() & {"acl", "tagging", "retention", "legal-hold", "versionId"} or "HTTP_X_AMZ_COPY_SOURCE" in environ
    ):
        named = f"not-needed:{method}"
    context = {"s3:if-none-match": environ["HTTP_IF_NONE_MATCH"]} if "HTTP_IF_NONE_MATCH" in environ else {}
    return Asked(action=named, resource=f"{arn}/{key}", context=context)
