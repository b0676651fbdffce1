"""Where boto3 leads calls of one kind to one bucket: learned from the first, so that the others go there directly.

A call by boto3 spends most of its time on what is the same for every object of a bucket: parameters, endpoint rules,
events. So the first one goes through boto3, and where it led (after redirects, by the endpoint rules, with which
signature) is the **route**; the following ones are built on it, signed by botocore's signer and sent over its
connections.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PLAIN_SIGNATURE: Final = "s3v4"
"""The signature that depends on the request alone; with others (S3 Express, SigV4A) all calls stay with boto3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where and how puts, or reads, of one bucket go."""

    url: str
    """Of all objects, without their keys."""
    user_agent: str
    signer: Any
    """botocore's `RequestSigner`, which renews credentials that expire."""
    signature: Mapping[str, str]
    context: Mapping[str, Any]
    """What the signature looked at beside the request."""


class RouteFinder:
    """Learns the route of one kind of call of one client, and sends calls on it. Safe to use from several threads.

    Args:
        client: whose calls are watched.
        operation: `GetObject` or `PutObject`.
    """

    def __init__(self, client: "S3Client", operation: str) -> None:
        self._operation = operation
        self._session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
        self._shape: Any = client.meta.service_model.operation_model(operation).output_shape
        self._parser = create_parser("rest-xml")
        self._seen = threading.local()
        client.meta.events.register(f"before-sign.s3.{operation}", self._see_signing)
        client.meta.events.register(f"before-send.s3.{operation}", self._see_sending)

    def forget(self) -> None:
        """Before a call by boto3: what this thread sent until now is no part of it."""
        self._seen.request = None

    def learned(self, key: str) -> Route | None:
        """The route of this thread's last call; None where such calls need more than that."""
        request, signing = self._seen.request, getattr(self._seen, "signing", None)
        name = _quoted(key)
        if self._session is None or request is None or signing is None or not request.url.endswith(f"/{name}"):
            return None
        if request.headers.get("X-Amz-S3session-Token"):
            return None
        signer, signature, context = signing
        agent = request.headers["User-Agent"]
        return Route(
            url=request.url.removesuffix(name),
            user_agent=agent.decode() if isinstance(agent, bytes) else agent,
            signer=signer,
            signature=signature,
            context={name: context.get(name) for name in ("client_config", "checksum")},
        )

    def send(
        self,
        route: Route,
        method: str,
        key: str,
        *,
        headers: Mapping[str, str],
        context: Mapping[str, Any],
        body: bytes | None = None,
        stream: bool = False,
    ) -> Any:
        """The answer to a signed call, whatever its status.

        Args:
            route: where to.
            method: of HTTP.
            key: of the object.
            headers: beside the user agent.
            context: what the signature is to look at beside the request and the client's configuration.
            body: what is sent.
            stream: leave the answer's content to be read.
        """
        sent = {"User-Agent": route.user_agent, **headers}
        request = AWSRequest(method=method, url=route.url + _quoted(key), data=body, headers=sent)
        request.context.update({"client_config": route.context.get("client_config"), **context})
        route.signer.get_auth_instance(**route.signature).add_auth(request)
        prepared = request.prepare()
        prepared.stream_output = stream
        return self._session.send(prepared)

    def error(self, answer: Any) -> ClientError:
        """What boto3 would raise for this answer."""
        told = {"headers": answer.headers, "status_code": answer.status_code, "body": answer.content}
        return ClientError(self._parser.parse(told, self._shape), self._operation)

    def _see_signing(self, *, request: Any, signature_version: Any, request_signer: Any, **values: Any) -> None:
        """Called by botocore before it signs a call of this thread."""
        asked = request.context.get("signing") or {}
        names = {
            "region_name": asked.get("region", values["region_name"]),
            "signing_name": asked.get("signing_name", values["signing_name"]),
            "signature_version": signature_version,
        }
        plain = signature_version == PLAIN_SIGNATURE and not {"request_credentials", "identity_cache"} & set(asked)
        self._seen.signing = (request_signer, names, request.context) if plain else None

    def _see_sending(self, *, request: Any, **_values: Any) -> None:
        """Called by botocore before it sends a call of this thread; it may send several, the last one succeeds."""
        self._seen.request = request


def _quoted(key: str) -> str:
    """A key in a URL, as botocore writes it."""
    return quote(key.encode(), safe="/~")
