"""S3 over a network that fails: what is tried again, what is final, and what is told."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.stores import open_store
from infra.stores.retry import RetryPolicy
from infra.stores.s3 import S3Store
from infra.stores.s3_client import S3Access
from pipeline.errors import AlreadyExistsError, NotFoundError, StoreRefusedError, StoreUnavailableError
from pipeline.probe import probe_create_only
from tests.faults.faults import CutBody, Fault, LoseAnswer, Refuse, Reset, SpoilBody
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.infra.servers import S3Server, rclone_server

BODY = bytes(range(256)) * 400

TRANSIENT: tuple[Fault, ...] = (
    Refuse(status=503, code="SlowDown"),
    Refuse(status=503, code="ServiceUnavailable"),
    Refuse(status=500, code="InternalError"),
    Refuse(status=502, code=""),
    Refuse(status=429, code="TooManyRequests"),
    Refuse(status=409, code="OperationAborted"),
    Reset(),
    LoseAnswer(),
)

CALLS: dict[str, Callable[[S3Store], object]] = {
    "get": lambda store: store.get("k"),
    "put": lambda store: store.put("new", b"x"),
    "head": lambda store: store.head("k"),
    "list": lambda store: list(store.list("")),
    "list_folders": lambda store: list(store.list_folders("")),
    "delete": lambda store: store.delete("none"),
}

FINAL = {
    "NoSuchBucket": (404, "create it"),
    "AccessDenied": (403, "s3:PutObject"),
    "InvalidAccessKeyId": (403, "AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (403, "AWS_SECRET_ACCESS_KEY"),
    "RequestTimeTooSkewed": (403, "clock"),
    "AuthorizationHeaderMalformed": (400, "AWS_REGION"),
    "InvalidRequest": (400, "AWS_ENDPOINT_URL"),
}


@pytest.fixture
def proxy(moto: S3Server) -> Iterator[FaultProxy]:
    """A proxy in front of moto that holds one object `k`."""
    with fault_proxy(moto) as proxy:
        yield proxy


@pytest.fixture
def waits() -> list[float]:
    """How long the store would have waited."""
    return []


@pytest.fixture
def store(proxy: FaultProxy, tmp_path: Path, waits: list[float]) -> S3Store:
    """A store behind the proxy, with one object `k`; it waits for nothing."""
    store = proxy.server.store(f"faults/{tmp_path.name}", retry=RetryPolicy(attempts=4, sleep=waits.append))
    store.put("k", BODY)
    proxy.weather.exchanges.clear()
    return store


@pytest.mark.parametrize("fault", TRANSIENT, ids=str)
@pytest.mark.parametrize("call", CALLS)
def test_transient_errors_are_tried_again(
    store: S3Store, proxy: FaultProxy, waits: list[float], call: str, fault: Fault
) -> None:
    """Three times in a row, and the fourth attempt succeeds."""
    proxy.weather.order(*[fault] * 3)
    CALLS[call](store)
    assert len(proxy.seen) == 4
    assert len(waits) == 3


@pytest.mark.parametrize("code", ["RequestTimeout", "IncompleteBody", "BadDigest"])
def test_a_body_that_did_not_arrive_is_sent_again(store: S3Store, proxy: FaultProxy, code: str) -> None:
    """Some errors of status 400 are about the way, not about the request."""
    proxy.weather.order(Refuse(status=400, code=code))
    store.put("new", BODY)
    assert store.get("new") == BODY


def test_a_store_that_stays_away_is_unavailable(store: S3Store, proxy: FaultProxy, waits: list[float]) -> None:
    """After the last attempt the error says what happened, and is one that the job waits out."""
    proxy.weather.order(*[Refuse(status=503, code="SlowDown")] * 4)
    with pytest.raises(StoreUnavailableError, match=r"put x: no proper answer in 4 attempts: SlowDown \(HTTP 503\)"):
        store.put("x", b"")
    assert proxy.weather.ordered == 0
    assert all(0 <= wait <= 20 for wait in waits)


def test_an_unreachable_endpoint_is_unavailable() -> None:
    """Nobody listens: the network may come back."""
    access = S3Access(endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    store = S3Store("bucket", access=access, retry=RetryPolicy(attempts=2, sleep=lambda _seconds: None))
    with pytest.raises(StoreUnavailableError, match="EndpointConnectionError"):
        store.get("k")


@pytest.mark.parametrize("fault", [CutBody(), SpoilBody()], ids=str)
def test_damaged_bodies_are_fetched_again(store: S3Store, proxy: FaultProxy, tmp_path: Path, fault: Fault) -> None:
    """A body that is cut or has a wrong bit is never returned."""
    proxy.weather.order(fault)
    assert store.get("k") == BODY
    proxy.weather.order(fault)
    store.download("k", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == BODY
    assert proxy.seen == ["GET"] * 4


def test_a_body_that_stays_damaged_is_unavailable(store: S3Store, proxy: FaultProxy, tmp_path: Path) -> None:
    """No half file is left when the download gives up."""
    proxy.weather.order(*(SpoilBody(), CutBody()) * 4)
    with pytest.raises(StoreUnavailableError):
        store.get("k")
    with pytest.raises(StoreUnavailableError):
        store.download("k", str(tmp_path / "folder" / "got"))
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_conflict_of_conditional_puts_is_tried_again(store: S3Store, proxy: FaultProxy) -> None:
    """409 means that somebody else writes at this moment, not that the key is taken."""
    proxy.weather.order(*[Refuse(status=409, code="ConditionalRequestConflict")] * 2)
    store.put("new", b"mine", mode="create")
    assert store.get("new") == b"mine"


@pytest.mark.parametrize("status", [412, 304])
def test_taken_keys_are_told_apart_from_errors(store: S3Store, proxy: FaultProxy, status: int) -> None:
    """412, and 304 as old MinIO says it, mean that the key is taken; nothing is tried again."""
    proxy.weather.order(Refuse(status=status, code="PreconditionFailed"))
    with pytest.raises(AlreadyExistsError):
        store.put("new", b"mine", mode="create")
    assert proxy.seen == ["PUT"]


def test_a_lost_answer_to_a_create_is_no_refusal(store: S3Store, proxy: FaultProxy) -> None:
    """The put did succeed: the second attempt finds the key taken by its own body, which is success."""
    proxy.weather.order(LoseAnswer())
    etag = store.put("new", b"mine", mode="create")
    found = store.head("new")
    assert found is not None
    assert found.etag == etag


def test_a_lost_answer_to_a_swap_is_no_refusal(store: S3Store, proxy: FaultProxy) -> None:
    """The same for a put conditional on an ETag."""
    first = store.put("lease", b"1")
    proxy.weather.order(LoseAnswer())
    second = store.put("lease", b"2", if_match=first)
    assert store.put("lease", b"3", if_match=second) != second


def test_a_create_lost_to_another_is_refused_also_after_a_lost_answer(store: S3Store, proxy: FaultProxy) -> None:
    """Another body under the key is another's, whatever happened on the way."""
    store.put("new", b"theirs")
    proxy.weather.order(LoseAnswer())
    with pytest.raises(AlreadyExistsError):
        store.put("new", b"mine", mode="create")
    assert store.get("new") == b"theirs"


def test_a_service_without_conditions_is_written_without_them(store: S3Store, proxy: FaultProxy) -> None:
    """501 to a conditional put: the object is written as by a service that ignores conditions, which the probe sees."""
    for body in (b"x", b"y"):
        proxy.weather.order(Refuse(status=501, code="NotImplemented"))
        store.put("new", body, mode="create")
        assert store.get("new") == body


def test_an_upload_in_parts_survives_lost_parts(store: S3Store, proxy: FaultProxy, tmp_path: Path) -> None:
    """A part that fails is sent again; the object is whole."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(BODY * 700)
    proxy.weather.order(Refuse(status=503, code="SlowDown"), Reset())
    store.upload("large", str(source))
    store.download("large", str(target))
    assert target.read_bytes() == source.read_bytes()
    assert "POST" in proxy.seen


@pytest.mark.parametrize("code", FINAL)
@pytest.mark.parametrize("call", ["get", "put", "list", "delete"])
def test_final_errors_name_the_remedy_at_once(store: S3Store, proxy: FaultProxy, call: str, code: str) -> None:
    """Nothing is tried again; the message names store, call and remedy."""
    status, remedy = FINAL[code]
    proxy.weather.order(Refuse(status=status, code=code))
    with pytest.raises(StoreRefusedError, match=remedy) as caught:
        CALLS[call](store)
    assert store.uri in str(caught.value)
    assert len(proxy.seen) == 1


def test_a_head_that_is_denied_is_not_taken_for_missing(store: S3Store, proxy: FaultProxy) -> None:
    """403 without a body is a refusal."""
    proxy.weather.order(Refuse(status=403, code=""))
    with pytest.raises(StoreRefusedError, match="access denied"):
        store.head("k")


def test_an_expired_token_is_renewed_once(store: S3Store, proxy: FaultProxy) -> None:
    """Credentials are read again once; if they are still expired, the user must renew them."""
    expired = Refuse(status=400, code="ExpiredToken")
    proxy.weather.order(expired)
    assert store.get("k") == BODY
    proxy.weather.exchanges.clear()
    proxy.weather.order(expired, expired)
    with pytest.raises(StoreRefusedError, match="expired: renew"):
        store.get("k")
    assert len(proxy.seen) == 2


def test_a_missing_bucket_is_refused_on_real_servers(moto: S3Server, rclone: S3Server) -> None:
    """Both servers' own words end as the same error."""
    for server in (moto, rclone):
        store = S3Store("no-such-bucket", access=server.access)
        for call in (lambda store=store: store.put("k", b""), lambda store=store: list(store.list(""))):
            with pytest.raises(StoreRefusedError, match="no such bucket"):
                call()


def test_wrong_keys_are_refused_without_showing_them(rclone: S3Server) -> None:
    """Rclone checks signatures: neither message nor traceback holds the secret."""
    access = S3Access(
        endpoint_url=rclone.endpoint_url, region="us-east-1", access_key=rclone.access_key, secret_key="hunter2secret"
    )
    store = S3Store(rclone.bucket, access=access)
    with pytest.raises(StoreRefusedError, match="AWS_SECRET_ACCESS_KEY") as caught:
        store.put("k", b"")
    shown = "".join(traceback.format_exception(caught.value)) + repr(store)
    assert "hunter2secret" not in shown


def test_no_credentials_at_all_is_refused(monkeypatch: pytest.MonkeyPatch, moto: S3Server, tmp_path: Path) -> None:
    """Nothing in environment, files or instance role: the message says where to put them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    store = S3Store(moto.bucket, access=S3Access(endpoint_url=moto.endpoint_url))
    with pytest.raises(StoreRefusedError, match="set AWS_ACCESS_KEY_ID"):
        store.get("k")
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(StoreRefusedError, match="AWS_PROFILE"):
        S3Store(moto.bucket, access=S3Access(endpoint_url=moto.endpoint_url)).get("k")


def test_the_environment_alone_reaches_a_server(monkeypatch: pytest.MonkeyPatch, rclone: S3Server) -> None:
    """Endpoint, region and keys of the standard variables are enough for `open_store`."""
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    store = open_store(rclone.uri("from-environment"))
    store.put("k", b"x")
    assert store.get("k") == b"x"


def test_probe_tells_honest_stores_from_others(moto: S3Server, rclone: S3Server) -> None:
    """Moto refuses the second create, rclone overwrites."""
    assert probe_create_only(moto.store("probe"))
    assert not probe_create_only(rclone.store("probe"))


def test_a_server_that_restarts_is_waited_for(tmp_path: Path) -> None:
    """A store whose server went away is unavailable, not refused."""
    with rclone_server(tmp_path / "served") as server:
        store = server.store(retry=RetryPolicy(attempts=2, sleep=lambda _seconds: None))
        store.put("k", b"x")
    with pytest.raises(StoreUnavailableError):
        store.get("k")


def test_missing_objects_are_not_asked_for_again(store: S3Store, proxy: FaultProxy) -> None:
    """404 is an answer, not an error."""
    with pytest.raises(NotFoundError):
        store.get("none")
    assert store.head("none") is None
    assert proxy.seen == ["GET", "HEAD"]
