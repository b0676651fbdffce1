"""Puts past botocore's machinery are the same to the store as those through it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.stores.retry import RetryPolicy
from infra.stores.s3 import S3Store
from infra.stores.s3_answers import DamagedBodyError
from infra.stores.s3_client import S3Connection, connect
from pipeline.errors import StoreRefusedError, StoreUnavailableError
from tests.infra.servers import S3Server
from tests.infra.stores.scripted_server import Heard, Said, ScriptedServer, scripted_server, self_signed

KEYS = (
    "plain",
    "a/b.png",
    "spaces and + signs",
    "ümläut/日本.png",
    "tilde~star*",
    "per%20cent",
    "a?b#c&d=e",
    "(x)'!@:;,$",
)

UNSAME = frozenset({"authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request"})
"""Headers that differ between any two requests, or say how often botocore retried."""

TRAILER = frozenset({"content-encoding", "x-amz-trailer", "x-amz-decoded-content-length", "transfer-encoding"})
"""Headers of the form in which botocore sends a checksum over TLS: behind the body."""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that keeps what it hears."""
    with scripted_server() as server:
        yield server


@pytest.fixture
def connection(server: ScriptedServer) -> S3Connection:
    """One whose puts know their way already."""
    connection = connect(server.access, connections=2)
    connection.puts.put("bucket", "first", b"x", {})
    assert connection.puts.ready
    server.heard.clear()
    return connection


def _both(connection: S3Connection, server: ScriptedServer, **conditions: str) -> tuple[Heard, Heard]:
    """The same put directly and by boto3."""
    connection.puts.put("bucket", "k", b"body", conditions)
    connection.client.put_object(Bucket="bucket", Key="k", Body=b"body", **conditions)  # type: ignore[arg-type]
    direct, by_boto3 = server.heard
    return direct, by_boto3


def _same(headers: Heard) -> dict[str, str]:
    return {name: value for name, value in headers.headers.items() if name not in UNSAME}


@pytest.mark.parametrize("conditions", [{}, {"IfNoneMatch": "*"}, {"IfMatch": '"e"'}], ids=str)
def test_the_store_hears_the_same(connection: S3Connection, server: ScriptedServer, conditions: dict[str, str]) -> None:
    """Method, path, body and headers, the checksum among them, are those of boto3."""
    direct, by_boto3 = _both(connection, server, **conditions)
    assert (direct.method, direct.path, direct.body) == (by_boto3.method, by_boto3.path, by_boto3.body)
    assert _same(direct) == _same(by_boto3)
    assert direct.headers["x-amz-checksum-crc32"]


def test_checksums_that_are_switched_off_stay_off(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some services know no checksums: botocore's own setting holds for direct puts too."""
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    connection = connect(server.access, connections=2)
    connection.puts.put("bucket", "first", b"x", {})
    server.heard.clear()
    direct, by_boto3 = _both(connection, server)
    assert _same(direct) == _same(by_boto3)
    assert "x-amz-checksum-crc32" not in direct.headers


def test_over_tls_the_checksum_goes_ahead_of_the_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Botocore sends it behind the body, in chunks; S3 takes both, and neither signs the body then."""
    certificate = self_signed(tmp_path / "server.pem")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    with scripted_server(certificate) as server:
        connection = connect(server.access, connections=2)
        connection.puts.put("bucket", "first", b"x", {})
        server.heard.clear()
        direct, by_boto3 = _both(connection, server)
    assert direct.body == b"body"
    assert direct.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert direct.headers["x-amz-checksum-crc32"] in by_boto3.body.decode()
    ours = _same(direct).keys() - {"x-amz-checksum-crc32", "content-length"}
    assert ours == _same(by_boto3).keys() - TRAILER - {"content-length"}


def test_an_untrusted_certificate_is_the_users_to_mend(tmp_path: Path) -> None:
    """No waiting helps, and the message names the variable."""
    with scripted_server(self_signed(tmp_path / "server.pem")) as server:
        store = S3Store("bucket", access=server.access)
        with pytest.raises(StoreRefusedError, match="AWS_CA_BUNDLE"):
            store.put("k", b"")


@pytest.mark.parametrize("kind", ["moto", "rclone"])
def test_odd_keys_arrive_under_their_names(request: pytest.FixtureRequest, kind: str) -> None:
    """Servers that check signatures and those that do not find every key where boto3 puts it."""
    real: S3Server = request.getfixturevalue(kind)
    store = real.store(f"odd-{kind}")
    store.put("first", b"")
    for key in KEYS:
        store.put(key, key.encode())
    assert {key: store.get(key) for key in KEYS} == {key: key.encode() for key in KEYS}
    assert {found.key for found in store.list("")} == {"first", *KEYS}


def test_a_store_that_moved_is_followed_by_boto3(connection: S3Connection, server: ScriptedServer) -> None:
    """A redirect ends the short way; boto3 finds the new one, and what it finds is learned."""
    server.script.append(Said(status=307, headers={"x-amz-bucket-region": "eu-west-1"}))
    server.script.append(Said(status=200, headers={"ETag": '"moved"'}))
    assert connection.puts.put("bucket", "k", b"", {}) == "moved"
    assert connection.puts.ready
    connection.puts.put("bucket", "l", b"", {})
    assert [heard.path for heard in server.heard] == ["/bucket/k", "/bucket/k", "/bucket/l"]


def test_errors_are_boto3s_own(connection: S3Connection, server: ScriptedServer) -> None:
    """Code, status and headers are read by botocore's parser, whatever the body looks like."""
    server.script.append(Said(status=503, headers={"Date": "x"}, body=b"<Error><Code>SlowDown</Code></Error>"))
    with pytest.raises(ClientError, match="SlowDown") as caught:
        connection.puts.put("bucket", "k", b"", {})
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    server.script.append(Said(status=502, body=b"<html>Bad gateway"))
    with pytest.raises(ClientError, match="502"):
        connection.puts.put("bucket", "k", b"", {})


def test_an_answer_without_an_etag_is_none_of_a_store(connection: S3Connection, server: ScriptedServer) -> None:
    """A login page of some network answers 200 to everything: nothing was stored."""
    server.script.append(Said(headers={}, body=b"<html>Please log in"))
    with pytest.raises(DamagedBodyError):
        connection.puts.put("bucket", "k", b"", {})


@pytest.mark.parametrize("body", [b"<html><body>Please log in</body></html>", b"Please log in <p>", b""])
def test_a_login_page_is_no_listing(server: ScriptedServer, body: bytes) -> None:
    """Neither an empty listing, which would mean that nothing was rendered yet, nor a crash."""
    server.script.extend([Said(headers={}, body=body)] * 2)
    store = S3Store("bucket", access=server.access, retry=RetryPolicy(attempts=2, sleep=lambda _seconds: None))
    with pytest.raises(StoreUnavailableError):
        list(store.list("jobs/"))


def test_a_login_page_is_no_head(server: ScriptedServer) -> None:
    """The same for the look at one object."""
    server.script.extend([Said(headers={})] * 2)
    store = S3Store("bucket", access=server.access, retry=RetryPolicy(attempts=2, sleep=lambda _seconds: None))
    with pytest.raises(StoreUnavailableError, match="the answer tells no"):
        store.head("k")
