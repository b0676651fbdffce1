"""Reads of whole objects at half of botocore's cost, as `s3_direct_put` has puts.

The first read goes through boto3, and where it led is kept as the route; the following ones are signed by botocore's
signer and sent over its connections. What needs more than that (redirects, content whose ETag is no hash of it, which
only a checksum can prove) goes through boto3 as ever.
"""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError
from botocore.parsers import create_parser

from infra.stores.s3_answers import DamagedBodyError
from infra.stores.s3_body import checked_chunks, content_md5
from infra.stores.s3_direct_put import PLAIN_SIGNATURE, Route, quoted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES: Final = 1 << 20

_SHORTEST_ERROR: Final = 300
"""HTTP statuses from here on are no content."""


class DirectGets:
    """Reads by one client. Safe to call from several threads.

    Args:
        client: for the first read, and for whatever needs more than the route.
    """

    def __init__(self, client: "S3Client") -> None:
        self._client = client
        self._session: Any = getattr(getattr(client, "_endpoint", None), "http_session", None)
        self._shape: Any = client.meta.service_model.operation_model("GetObject").output_shape
        self._parser = create_parser("rest-xml")
        self._route: Route | None = None
        self._seen = threading.local()
        client.meta.events.register("before-sign.s3.GetObject", self._see_signing)
        client.meta.events.register("before-send.s3.GetObject", self._see_sending)

    @property
    def ready(self) -> bool:
        """Whether the next read goes the short way."""
        return self._route is not None

    def chunks(self, bucket: str, key: str) -> Iterator[bytes]:
        """The content of an object, in pieces, checked on the way.

        Args:
            bucket: the same in every call.
            key: of the object.

        Raises:
            Exception: what boto3 raises, or DamagedBodyError where the bytes are not those of the ETag.
        """
        route = self._route
        answer = None if route is None else self._ask(route, key)
        if answer is None:
            self._seen.request = None
            response = self._client.get_object(Bucket=bucket, Key=key)
            self._route = self._learned(key) or self._route
            yield from checked_chunks(response)
            return
        yield from self._checked(answer)

    def whole(self, bucket: str, key: str) -> bytes:
        """The content of an object, of which only the length is checked on the short way. Raises: as `chunks`."""
        route = self._route
        answer = None if route is None else self._ask(route, key)
        if answer is None:
            return b"".join(self.chunks(bucket, key))
        try:
            body: bytes = answer.raw.read()
        finally:
            answer.raw.release_conn()
        if len(body) != int(answer.headers.get("Content-Length", -1)):
            raise DamagedBodyError("the content is not as long as the answer says")
        return body

    def _ask(self, route: Route, key: str) -> Any:
        """The answer to a read; None where boto3 has to ask. Raises: ClientError: the store says no."""
        request = AWSRequest(method="GET", url=route.url + quoted(key), headers={"User-Agent": route.user_agent})
        request.context.update(route.context)
        route.signer.get_auth_instance(**route.signature).add_auth(request)
        prepared = request.prepare()
        prepared.stream_output = True
        answer = self._session.send(prepared)
        if answer.status_code >= 400:
            told = {"headers": answer.headers, "status_code": answer.status_code, "body": answer.content}
            raise ClientError(self._parser.parse(told, self._shape), "GetObject")
        if answer.status_code >= _SHORTEST_ERROR or not self._md5(answer):
            if answer.status_code >= _SHORTEST_ERROR:
                self._route = None
            answer.raw.close()
            return None
        return answer

    def _checked(self, answer: Any) -> Iterator[bytes]:
        """The body of an answer. Raises: DamagedBodyError: it is short, or other bytes than the ETag says."""
        digest, arrived = hashlib.md5(usedforsecurity=False), 0
        try:
            while chunk := answer.raw.read(_CHUNK_BYTES):
                digest.update(chunk)
                arrived += len(chunk)
                yield chunk
        finally:
            if arrived != int(answer.headers.get("Content-Length", -1)):
                answer.raw.close()
            answer.raw.release_conn()
        if digest.hexdigest() != self._md5(answer):
            raise DamagedBodyError("the content does not match its ETag")

    @staticmethod
    def _md5(answer: Any) -> str:
        """The MD5 of the content, where the answer tells it."""
        return content_md5(str(answer.headers.get("ETag", "")), encryption=_encryption(answer.headers))

    def _see_signing(self, *, request: Any, signature_version: Any, request_signer: Any, **values: Any) -> None:
        """Called by botocore before it signs a read of this thread."""
        names = {"signing_name": values["signing_name"], "region_name": values["region_name"]}
        asked = request.context.get("signing") or {}
        names["region_name"] = asked.get("region", names["region_name"])
        names["signing_name"] = asked.get("signing_name", names["signing_name"])
        plain = signature_version == PLAIN_SIGNATURE and not {"request_credentials", "identity_cache"} & set(asked)
        names["signature_version"] = signature_version
        self._seen.signing = (request_signer, names, request.context) if plain else None

    def _see_sending(self, *, request: Any, **_values: Any) -> None:
        """Called by botocore before it sends a read of this thread; it may send several, the last one succeeds."""
        self._seen.request = request

    def _learned(self, key: str) -> Route | None:
        """The route of this thread's last read; None where its reads need more than that."""
        request, signing = self._seen.request, getattr(self._seen, "signing", None)
        name = quoted(key)
        if self._session is None or request is None or signing is None or not request.url.endswith(f"/{name}"):
            return None
        signer, signature, context = signing
        if request.headers.get("X-Amz-S3session-Token"):
            return None
        agent = request.headers["User-Agent"]
        return Route(
            url=request.url.removesuffix(name),
            user_agent=agent.decode() if isinstance(agent, bytes) else agent,
            checksum=False,
            signer=signer,
            signature=signature,
            context={"client_config": context.get("client_config")},
        )


def _encryption(headers: Mapping[str, str]) -> str:
    """How the object is encrypted, as the answer tells; an ETag is then no hash of the content."""
    if headers.get("x-amz-server-side-encryption-customer-algorithm"):
        return "customer"
    return str(headers.get("x-amz-server-side-encryption", ""))
