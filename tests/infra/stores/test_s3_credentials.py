"""Credentials that expire while a job runs: botocore's chain renews them, and what it cannot renew is told."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.stores.retry import RetryPolicy
from infra.stores.s3 import S3Store
from infra.stores.s3_client import S3Access
from pipeline.errors import StoreRefusedError, StoreUnavailableError
from tests.faults.faults import Refuse
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.infra.servers import S3Server
from tests.infra.stores.scripted_server import Said, scripted_server

PATIENT = RetryPolicy(sleep=lambda _seconds: None)


class Issuer:
    """What issues credentials: a file that a program prints, as `credential_process` in a profile.

    Args:
        folder: for the file and the AWS configuration.
        monkeypatch: points boto3 to them.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._issued = folder / "credentials.json"
        self._calls = folder / "calls"
        self._calls.touch()
        self._program = folder / "issue.py"
        self._program.write_text(
            f"print(open({str(self._issued)!r}).read())\nopen({str(self._calls)!r}, 'a').write('x')\n"
        )
        config = folder / "config"
        config.write_text(f"[default]\ncredential_process = {sys.executable} {self._program}\n")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def issue(self, access_key: str, *, lives: timedelta | None = None) -> None:
        """From now on issue this key, which lives so long; without an end when not given."""
        values = {"Version": 1, "AccessKeyId": access_key, "SecretAccessKey": "hunter2secret", "SessionToken": "token"}
        if lives is not None:
            values["Expiration"] = (datetime.now(UTC) + lives).isoformat()
        self.say(json.dumps(values))

    def say(self, text: str) -> None:
        """Print this, whatever it is."""
        self._issued.write_text(text)

    def vanish(self) -> None:
        """Print nothing and fail from now on."""
        self._program.write_text("raise SystemExit(3)")

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return len(self._calls.read_text())


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    """Nothing issued yet."""
    return Issuer(tmp_path, monkeypatch)


@pytest.fixture
def proxy(moto: S3Server) -> Iterator[FaultProxy]:
    """In front of moto, which takes any key."""
    with fault_proxy(moto) as proxy:
        yield proxy


def _store(proxy: FaultProxy, tmp_path: Path, retry: RetryPolicy = PATIENT) -> S3Store:
    """A store whose credentials come from boto3's own chain."""
    access = S3Access(endpoint_url=proxy.server.endpoint_url, region=proxy.server.region)
    return S3Store(proxy.server.bucket, f"credentials/{tmp_path.name}", access=access, retry=retry)


def test_a_token_that_expires_in_the_middle_is_fetched_anew(proxy: FaultProxy, tmp_path: Path, issuer: Issuer) -> None:
    """The store says that it has expired, the chain is asked again, and nobody notices."""
    issuer.issue("first")
    store = _store(proxy, tmp_path)
    store.put("a", b"1")
    issuer.issue("second")
    proxy.weather.expire(["first"])
    store.put("b", b"2", mode="create")
    assert store.get("a") == b"1"
    assert proxy.weather.counts["expired"] == 1
    assert issuer.calls == 2


def test_threads_that_meet_an_expired_token_together_fetch_one(
    proxy: FaultProxy, tmp_path: Path, issuer: Issuer
) -> None:
    """A batch of images in flight does not storm whoever issues tokens."""
    issuer.issue("first")
    store = _store(proxy, tmp_path)
    store.put("a", b"1")
    issuer.issue("second")
    proxy.weather.expire(["first"])
    store.put_batch({f"k{n}": b"x" for n in range(32)})
    assert len(list(store.list("k"))) == 32
    assert issuer.calls <= 1 + 2


def test_a_new_token_that_comes_late_is_waited_for(proxy: FaultProxy, tmp_path: Path, issuer: Issuer) -> None:
    """Whatever rotates the tokens may be some seconds behind the store."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            issuer.issue("second")

    issuer.issue("first")
    store = _store(proxy, tmp_path, RetryPolicy(sleep=wait))
    proxy.weather.expire(["first"])
    store.put("k", b"x")
    assert len(waits) == 3


def test_a_token_that_nobody_renews_is_the_users_to_mend(proxy: FaultProxy, tmp_path: Path, issuer: Issuer) -> None:
    """After the store's own patience the message says what to renew, and holds no secret."""
    issuer.issue("first")
    store = _store(proxy, tmp_path)
    proxy.weather.expire(["first"])
    for call in (lambda: store.put("k", b"x"), lambda: store.get("k"), lambda: list(store.list(""))):
        with pytest.raises(StoreRefusedError, match="credentials have expired: renew them") as caught:
            call()
        assert "hunter2secret" not in repr(caught.value.__cause__)


def test_tokens_are_renewed_before_they_expire(proxy: FaultProxy, tmp_path: Path, issuer: Issuer) -> None:
    """Botocore knows when they end: direct puts, too, never send one that is about to."""
    issuer.issue("first", lives=timedelta(hours=1))
    store = _store(proxy, tmp_path)
    store.put("a", b"1")
    store.put("b", b"1")
    assert issuer.calls == 1
    issuer.issue("short", lives=timedelta(minutes=5))
    renewing = _store(proxy, tmp_path)
    renewing.put("c", b"1")
    issuer.issue("third", lives=timedelta(hours=1))
    proxy.weather.expire(["short"])
    renewing.put("d", b"1")
    assert "expired" not in proxy.weather.counts


def test_an_issuer_that_gives_expired_tokens_is_told(proxy: FaultProxy, tmp_path: Path, issuer: Issuer) -> None:
    """Botocore raises a bare RuntimeError then; it becomes an error with a remedy."""
    issuer.issue("old", lives=timedelta(minutes=-5))
    with pytest.raises(StoreRefusedError, match="gives expired ones: renew them"):
        _store(proxy, tmp_path).put("k", b"x")


def test_an_issuer_that_fails_for_a_while_is_waited_for(proxy: FaultProxy, tmp_path: Path, issuer: Issuer) -> None:
    """A metadata service or a program may be away like a store; the error says that it is not the store."""
    issuer.vanish()
    with pytest.raises(StoreUnavailableError, match="credentials cannot be fetched"):
        _store(proxy, tmp_path).put("k", b"x")


def test_what_is_no_json_does_not_show(proxy: FaultProxy, tmp_path: Path, issuer: Issuer) -> None:
    """A program that prints something else, perhaps a secret."""
    issuer.say("hunter2secret and a half")
    with pytest.raises(StoreUnavailableError, match="run credential_process by hand") as caught:
        _store(proxy, tmp_path).put("k", b"x")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.__cause__)


def test_a_program_that_is_not_there_is_the_users_to_mend(
    proxy: FaultProxy, tmp_path: Path, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No waiting brings it."""
    (tmp_path / "config").write_text("[default]\ncredential_process = /nowhere/issue\n")
    with pytest.raises(StoreRefusedError, match="check credential_process"):
        _store(proxy, tmp_path).put("k", b"x")


def test_keys_given_as_they_are_cannot_be_renewed(proxy: FaultProxy, tmp_path: Path) -> None:
    """A session token in the environment stays what it is: asked again once, then told."""
    store = proxy.server.store(f"given/{tmp_path.name}", retry=PATIENT)
    proxy.weather.expire(["testing"])
    with pytest.raises(StoreRefusedError, match="credentials have expired"):
        store.put("k", b"x")
    assert proxy.weather.counts == {"requests": 2, "expired": 2}


@pytest.mark.parametrize(("ahead", "words"), [(3600.0, "behind"), (-3600.0, "ahead of")])
def test_a_wrong_clock_is_told_with_its_error(proxy: FaultProxy, tmp_path: Path, ahead: float, words: str) -> None:
    """Botocore does not correct clocks: the message says how far this one is off, for HEAD too, which has no body."""
    store = proxy.server.store(f"clock/{tmp_path.name}", retry=PATIENT)
    proxy.weather.set_clock_ahead(ahead)
    for call in (lambda: store.put("k", b"x"), lambda: store.get("k"), lambda: store.head("k")):
        with pytest.raises(StoreRefusedError, match=rf"clock is wrong: set it \(NTP\); it is 3[56]\d\d s {words}"):
            call()
    assert proxy.weather.counts == {"requests": 3, "skewed": 3}


def test_a_signature_that_grew_old_in_a_sleep_is_made_anew(proxy: FaultProxy, tmp_path: Path) -> None:
    """A process that was stopped between signing and sending is refused although its clock is right."""
    store = proxy.server.store(f"slept/{tmp_path.name}", retry=PATIENT)
    proxy.weather.order(Refuse(status=403, code="RequestTimeTooSkewed", dated=True))
    store.put("k", b"x")
    assert store.get("k") == b"x"


def test_a_role_that_may_not_be_taken_is_told_apart_from_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moto: S3Server
) -> None:
    """STS refuses: the remedy is about the role, not about the bucket's policy."""
    config = tmp_path / "config"
    config.write_text(
        "[profile base]\naws_access_key_id = key\naws_secret_access_key = hunter2secret\n"
        "[profile render]\nrole_arn = arn:aws:iam::123456789012:role/render\nsource_profile = base\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "render")
    refusal = (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error>"
        b"</ErrorResponse>"
    )
    with scripted_server() as sts:
        sts.script.extend([Said(status=403, headers={"Content-Type": "text/xml"}, body=refusal)] * 4)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        store = S3Store(moto.bucket, access=replace(moto.access, access_key="", secret_key=""), retry=PATIENT)
        with pytest.raises(StoreRefusedError, match=r"may not take the role.*AssumeRole: AccessDenied"):
            store.put("k", b"")
