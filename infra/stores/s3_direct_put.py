"""Puts of small objects at half of botocore's cost: the first by boto3, the others on the route that it took."""

import binascii
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from infra.stores.s3_answers import DamagedBodyError
from infra.stores.s3_body import bare_etag
from infra.stores.s3_route import Route, RouteFinder

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONDITIONS: Final = {"IfNoneMatch": "If-None-Match", "IfMatch": "If-Match"}

_CRC32: Final = "x-amz-checksum-crc32"

_CONTEXT: Final = {
    "has_streaming_input": True,
    "checksum": {"request_algorithm": {"algorithm": "crc32", "in": "header", "name": _CRC32}},
}
"""What botocore's signer has to know of a put."""


class DirectPuts:
    """Puts by one client. Safe to call from several threads.

    Args:
        client: for the first put, and for whatever needs more than the route.
    """

    def __init__(self, client: "S3Client") -> None:
        self._client = client
        self._finder = RouteFinder(client, "PutObject")
        self._route: Route | None = None

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
        self._finder.forget()
        answer: Mapping[str, Any] = self._client.put_object(Bucket=bucket, Key=key, Body=body, **conditions)  # type: ignore[arg-type]
        self._route = self._learned(key) or self._route
        return _etag(answer.get("ETag"))

    def _learned(self, key: str) -> Route | None:
        """The route of this thread's last put; None where its checksum is none that we can make."""
        route = self._finder.learned(key)
        return None if route is None or _checksum(route) not in {"", "crc32"} else route

    def _directly(self, route: Route, key: str, body: bytes, conditions: Mapping[str, str]) -> str | None:
        """The ETag; None when the store sends us elsewhere, which boto3 knows how to follow."""
        headers = {_CONDITIONS[name]: value for name, value in conditions.items()}
        if _checksum(route):
            headers["x-amz-sdk-checksum-algorithm"] = "CRC32"
            headers[_CRC32] = b64encode(binascii.crc32(body).to_bytes(4, "big")).decode()
        answer = self._finder.send(route, "PUT", key, headers=headers, context=_CONTEXT, body=body)
        if answer.status_code == 200:
            return _etag(answer.headers.get("ETag"))
        if 300 <= answer.status_code < 400 and answer.status_code != 304:
            self._route = None
            return None
        raise self._finder.error(answer)


def _checksum(route: Route) -> str:
    """The one that botocore is configured to send; empty for none."""
    asked = (route.context.get("checksum") or {}).get("request_algorithm")
    return "" if asked is None else str(asked["algorithm"])


def _etag(told: Any) -> str:
    """The bare ETag. Raises: DamagedBodyError: there is none, so this was no answer of S3."""
    if not told:
        raise DamagedBodyError("the answer to a put has no ETag")
    return bare_etag(str(told))
