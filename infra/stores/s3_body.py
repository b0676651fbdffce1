"""The bytes of an object, checked on the way in."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC
from typing import Any, Final

from infra.stores.s3_answers import DamagedBodyError
from pipeline.ports import ObjectInfo

_MD5: Final = re.compile(r"[0-9a-f]{32}")

_CHUNK_BYTES: Final = 1 << 20


def checked_chunks(response: Mapping[str, Any]) -> Iterator[bytes]:
    """The body of a GetObject response, in pieces.

    botocore checks the length, and the checksum where the store sends one; where it sends none, the ETag serves if it
    is the MD5 of the content.

    Raises:
        DamagedBodyError: after the last piece, when the bytes are not those of the ETag.
        botocore.exceptions.BotoCoreError: the body is short, does not match its checksum, or stops to arrive.
    """
    expected = _md5_of(response)
    digest = hashlib.md5(usedforsecurity=False) if expected else None
    with closing(response["Body"]) as body:
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            if digest is not None:
                digest.update(chunk)
            yield chunk
    if digest is not None and digest.hexdigest() != expected:
        raise DamagedBodyError("the content does not match its ETag")


def fill(response: Mapping[str, Any], buffer: memoryview) -> None:
    """Put the body of an answer to a ranged GetObject into the buffer.

    Raises:
        DamagedBodyError: it is shorter or longer.
        botocore.exceptions.BotoCoreError: as for `checked_chunks`.
    """
    end = 0
    with closing(response["Body"]) as body:
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            start, end = end, end + len(chunk)
            if end > len(buffer):
                break
            buffer[start:end] = chunk
    if end != len(buffer):
        raise DamagedBodyError(f"{end} bytes came where {len(buffer)} were asked for")


def bare_etag(etag: str) -> str:
    """An ETag without quotes: services differ in where they put them."""
    return etag.strip('"')


def object_info(key: str, found: Mapping[str, Any], *, size: str) -> ObjectInfo:
    """What an answer tells of one object.

    Args:
        key: relative to the store's root.
        found: an answer to HeadObject, or one entry of a listing.
        size: the name under which it tells the size.

    Raises:
        DamagedBodyError: it lacks something, so that it is no answer of S3.
    """
    try:
        return ObjectInfo(
            key=key,
            size_bytes=found[size],
            etag=bare_etag(found["ETag"]),
            modified_at=found["LastModified"].astimezone(UTC),
        )
    except KeyError as error:
        raise DamagedBodyError(f"the answer tells no {error.args[0]}") from error


def checked_page(page: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page of a listing. Raises: DamagedBodyError: some other XML, which would pass for an empty listing."""
    if not page.keys() & {"Name", "KeyCount", "MaxKeys"}:
        raise DamagedBodyError("the answer is no listing")
    return page


def _md5_of(response: Mapping[str, Any]) -> str:
    """The MD5 that the content must have, if the response tells; empty where something else checks it."""
    if any(name.startswith("Checksum") for name in response):
        return ""
    encryption = "customer" if response.get("SSECustomerAlgorithm") else str(response.get("ServerSideEncryption", ""))
    return content_md5(str(response.get("ETag", "")), encryption=encryption)


def content_md5(etag: str, *, encryption: str) -> str:
    """The MD5 of the content, if the ETag is that; empty where it is not.

    Args:
        etag: as the service tells it.
        encryption: `customer`, or as the service calls it; empty for none.
    """
    if encryption == "customer" or encryption.startswith("aws:kms"):
        return ""
    bare = bare_etag(etag)
    return bare if _MD5.fullmatch(bare) else ""
