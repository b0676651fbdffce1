"""Reads of whole objects at half of botocore's cost: the first by boto3, the following ones on the route that it took.

What needs more than that (redirects, content whose ETag is no hash of it, which only a checksum can prove) goes through
boto3 as ever.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from infra.stores.s3_answers import DamagedBodyError
from infra.stores.s3_body import checked_chunks, content_md5
from infra.stores.s3_route import Route, RouteFinder

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
        self._finder = RouteFinder(client, "GetObject")
        self._route: Route | None = None

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
            self._finder.forget()
            response = self._client.get_object(Bucket=bucket, Key=key)
            self._route = self._finder.learned(key) or self._route
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
        answer = self._finder.send(route, "GET", key, headers={}, context={}, stream=True)
        if answer.status_code >= 400:
            raise self._finder.error(answer)
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


def _encryption(headers: Mapping[str, str]) -> str:
    """How the object is encrypted, as the answer tells; an ETag is then no hash of the content."""
    if headers.get("x-amz-server-side-encryption-customer-algorithm"):
        return "customer"
    return str(headers.get("x-amz-server-side-encryption", ""))
