"""Reads on the short way give what reads by boto3 give: the content, or the same errors."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from infra.stores.s3_client import S3Connection, connect
from infra.stores.s3_direct_get import DirectGets
from pipeline.errors import NotFoundError
from tests.infra.servers import S3Server, moto_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """One server for all tests here."""
    with moto_server() as running:
        yield running


@pytest.fixture
def connection(server: S3Server) -> S3Connection:
    """A connection whose first read has been done."""
    made = connect(server.access, connections=2)
    made.client.put_object(Bucket=server.bucket, Key="first", Body=b"1")
    assert b"".join(made.gets.chunks(server.bucket, "first")) == b"1"
    return made


@pytest.mark.parametrize("key", ["plain", "a b/ü+%~.png", "x" * 200])
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_short_way_gives_the_content(server: S3Server, connection: S3Connection, key: str, size: int) -> None:
    """In pieces, or whole."""
    body = secrets.token_bytes(size)
    connection.client.put_object(Bucket=server.bucket, Key=key, Body=body)
    assert connection.gets.ready
    assert b"".join(connection.gets.chunks(server.bucket, key)) == body
    assert connection.gets.whole(server.bucket, key) == body


def test_object_that_is_in_parts_is_read_by_boto3(server: S3Server, connection: S3Connection) -> None:
    """Its ETag is no hash of its content, so only a checksum can prove it."""
    body = secrets.token_bytes(6 * 2**20)
    upload = connection.client.create_multipart_upload(Bucket=server.bucket, Key="parts")["UploadId"]
    whole: Any = {"Bucket": server.bucket, "Key": "parts", "UploadId": upload}
    part = connection.client.upload_part(**whole, PartNumber=1, Body=body)
    parts: Any = [{"ETag": part["ETag"], "PartNumber": 1}]
    connection.client.complete_multipart_upload(**whole, MultipartUpload={"Parts": parts})
    assert b"".join(connection.gets.chunks(server.bucket, "parts")) == body
    assert connection.gets.ready


def test_missing_object_is_the_same_error_on_both_ways(server: S3Server) -> None:
    """The first read of a store goes through boto3, the second one does not."""
    store = server.store("gone")
    store.put("there", b"x")
    for key in ("none", "there", "none"):
        if key == "there":
            assert store.get(key) == b"x"
            continue
        with pytest.raises(NotFoundError, match="none"):
            store.get(key)
        with pytest.raises(NotFoundError, match="none"):
            store.get_unchecked(key)


def test_client_without_a_session_that_is_known_stays_with_boto3(server: S3Server) -> None:
    """Should a later botocore keep it elsewhere."""
    made = connect(server.access, connections=1)
    gets = DirectGets(made.client)
    gets._finder._session = None  # noqa: SLF001 - as if it were not found
    made.client.put_object(Bucket=server.bucket, Key="k", Body=b"body")
    assert b"".join(gets.chunks(server.bucket, "k")) == b"body"
    assert not gets.ready
