"""Puts of small objects at half of botocore's cost, with botocore's own signer, connections and error parsing.

A put by `client.put_object` spends most of its time on what is the same for every object of a bucket: parameters,
endpoint rules, events. So the first put goes through boto3, and where it led (after redirects, by the endpoint rules,
with which signature) is kept as the route; the following ones are built on it, signed and sent directly.
"""

import binascii
import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from infra.stores.s3_answers import DamagedBodyError
from infra.stores.s3_body import bare_etag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PLAIN_SIGNATURE: Final = "s3v4"
"""The signature that depends on the request alone; with others (S3 Express, SigV4A) all puts stay with boto3."""

_CONDITIONS: Final = {"IfNoneMatch": "If-None-Match", "IfMatch": "If-Match"}

_CRC32: Final = "x-amz-checksum-crc32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where and how puts, or reads, of one bucket go."""

    url: str
    """Of all objects, without their keys."""
    user_agent: str
    checksum: bool
    """Whether botocore is configured to send one."""
    signer: Any
    """botocore's `RequestSigner`, which renews credentials that expire."""
    signature: Mapping[str, str]
    context: Mapping[str, Any]
    """What the signature looks at beside the request."""


class DirectPuts:
    """Puts by one client. Safe to call from several threads.

    Args:
        client: for the first put, and for whatever needs more than the route.
    """

    def __init__(self, client: "S3Client") -> None:
        self._client = client
        self._session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
        self._shape: Any = client.meta.service_model.operation_model("PutObject").output_shape
        self._parser = create_parser("rest-xml")
        self._route: Route | None = None
        self._seen = threading.local()
        client.meta.events.register("before-sign.s3.PutObject", self._see_signing)
        client.meta.events.register("before-send.s3.PutObject", self._see_sending)

    @property
    def ready(self) -> bool:
        """Whether the next put goes the short way."""
        return self._route is not None

    def put(self, bucket: str, key: str, body: bytes, conditions: Mapping[str, str]) -> str:
        """Put an object; returns its ETag, bare.

        Args:
            bucket: the same in every call.
            key: of the object.
            body: its content.
            conditions: `IfNoneMatch` or `IfMatch`, as boto3 names them; empty for none.

        Raises:
            Exception: what boto3 raises, or DamagedBodyError where the answer is none of S3.
        """
        if self._route is not None:
            etag = self._directly(self._route, key, body, conditions)
            if etag is not None:
                return etag
        self._seen.request = None
        answer: Mapping[str, Any] = self._client.put_object(Bucket=bucket, Key=key, Body=body, **conditions)  # type: ignore[arg-type]
        self._route = self._learned(key) or self._route
        return _etag(answer.get("ETag"))

    def _directly(self, route: Route, key: str, body: bytes, conditions: Mapping[str, str]) -> str | None:
        """The ETag; None when the store sends us elsewhere, which boto3 knows how to follow."""
        headers = {"User-Agent": route.user_agent}
        if route.checksum:
            headers["x-amz-sdk-checksum-algorithm"] = "CRC32"
            headers[_CRC32] = b64encode(binascii.crc32(body).to_bytes(4, "big")).decode()
        headers.update((_CONDITIONS[name], value) for name, value in conditions.items())
        request = AWSRequest(method="PUT", url=route.url + quoted(key), data=body, headers=headers)
        request.context.update(route.context)
        route.signer.get_auth_instance(**route.signature).add_auth(request)
        answer = self._session.send(request.prepare())
        if answer.status_code == 200:
            return _etag(answer.headers.get("ETag"))
        if 300 <= answer.status_code < 400 and answer.status_code != 304:
            self._route = None
            return None
        told = {"headers": answer.headers, "status_code": answer.status_code, "body": answer.content}
        raise ClientError(self._parser.parse(told, self._shape), "PutObject")

    def _see_signing(self, *, request: Any, signature_version: Any, request_signer: Any, **values: Any) -> None:
        """Called by botocore before it signs a put of this thread."""
        names = {"signing_name": values["signing_name"], "region_name": values["region_name"]}
        asked = request.context.get("signing") or {}
        if "region" in asked:
            names["region_name"] = asked["region"]
        if "signing_name" in asked:
            names["signing_name"] = asked["signing_name"]
        plain = signature_version == PLAIN_SIGNATURE and not {"request_credentials", "identity_cache"} & set(asked)
        names["signature_version"] = signature_version
        self._seen.signing = (request_signer, names, request.context) if plain else None

    def _see_sending(self, *, request: Any, **_values: Any) -> None:
        """Called by botocore before it sends a put of this thread; it may send several, the last one succeeds."""
        self._seen.request = request

    def _learned(self, key: str) -> Route | None:
        """The route of this thread's last put; None where its puts need more than that."""
        request, signing = self._seen.request, getattr(self._seen, "signing", None)
        name = quoted(key)
        if self._session is None or request is None or signing is None or not request.url.endswith(f"/{name}"):
            return None
        signer, signature, context = signing
        checksum = (context.get("checksum") or {}).get("request_algorithm")
        known = checksum is None or checksum["algorithm"] == "crc32"
        if not known or request.headers.get("X-Amz-S3session-Token"):
            return None
        agent = request.headers["User-Agent"]
        return Route(
            url=request.url.removesuffix(name),
            user_agent=agent.decode() if isinstance(agent, bytes) else agent,
            checksum=checksum is not None,
            signer=signer,
            signature=signature,
            context={
                "client_config": context.get("client_config"),
                "has_streaming_input": True,
                "checksum": {"request_algorithm": {"algorithm": "crc32", "in": "header", "name": _CRC32}},
            },
        )


def quoted(key: str) -> str:
    """A key in a URL, as botocore writes it."""
    return quote(key.encode(), safe="/~")


def _etag(told: Any) -> str:
    """The bare ETag. Raises: DamagedBodyError: there is none, so this was no answer of S3."""
    if not told:
        raise DamagedBodyError("the answer to a put has no ETag")
    return bare_etag(str(told))
