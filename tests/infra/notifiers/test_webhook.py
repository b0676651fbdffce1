"""Posts to a webhook: signed, with an id that stays, and wary of what is at the other end."""

import base64
import hashlib
import hmac
from collections.abc import Iterator

import pytest

from infra.notifiers.post import is_link_local, url_problem
from infra.notifiers.webhook import WebhookNotifier, signature, signing_key
from pipeline.errors import NotToldError
from tests.infra.notifiers.receiver import FAILED, Receiver, receiver

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def there() -> Iterator[Receiver]:
    """Somebody who wants to hear."""
    with receiver() as made:
        yield made


def test_signature_is_that_of_the_specification() -> None:
    """The example of Standard Webhooks."""
    made = signature(
        signing_key(KEY), id_="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=b'{"test": 2432232314}'
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_receiver_can_check_who_wrote_and_when(there: Receiver) -> None:
    """From the headers and the raw body; a key that is no base64 is taken as it stands."""
    WebhookNotifier(f"{there.url}/hook?a=1", key=b"a key", now=lambda: 1_800_000_000.7).tell(FAILED)
    (posted,) = there.posted
    assert posted.path == "/hook?a=1"
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["webhook-timestamp"] == "1800000000"
    signed = f"{posted.headers['webhook-id']}.1800000000.".encode() + posted.body
    digest = hmac.new(b"a key", signed, hashlib.sha256).digest()
    assert posted.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert posted.values == {
        "schema": 1,
        "id": FAILED.id,
        "event": "failed",
        "at": FAILED.at,
        "job": FAILED.job,
        "title": FAILED.title,
        "text": FAILED.text,
        "status": {"state": "STOPPED", "usd": "25.01", "total": 1000},
    }


def test_every_try_has_the_same_id_and_a_time_of_its_own(there: Receiver) -> None:
    """So a receiver can drop repeats, and old posts that somebody replays."""
    times = iter([100.0, 200.0])
    notifier = WebhookNotifier(there.url, key=b"k", now=lambda: next(times))
    there.answers = [503]
    with pytest.raises(NotToldError):
        notifier.tell(FAILED)
    notifier.tell(FAILED)
    first, second = there.posted
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == FAILED.id
    assert (first.headers["webhook-timestamp"], second.headers["webhook-timestamp"]) == ("100", "200")
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_without_a_key_nothing_is_signed(there: Receiver) -> None:
    """No header that looks like a signature."""
    WebhookNotifier(there.url, key=b"").tell(FAILED)
    assert "webhook-signature" not in there.posted[0].headers


@pytest.mark.parametrize(("status", "final"), [(404, True), (401, True), (410, True), (429, False), (502, False)])
def test_answer_says_whether_to_try_again(there: Receiver, status: int, *, final: bool) -> None:
    """A busy receiver is asked again, one that does not want it is not."""
    there.answers = [status]
    with pytest.raises(NotToldError, match=f"HTTP {status}") as refused:
        WebhookNotifier(there.url, key=b"").tell(FAILED)
    assert refused.value.final is final


def test_redirect_is_not_followed(there: Receiver) -> None:
    """Whoever answers decides nothing about where else we post to."""
    with receiver() as other:
        there.answers, there.location = [307], f"{other.url}/elsewhere"
        with pytest.raises(NotToldError, match="redirects"):
            WebhookNotifier(there.url, key=b"").tell(FAILED)
        assert other.posted == []


def test_endless_answer_is_left_alone(there: Receiver) -> None:
    """Its status is all that is wanted."""
    there.endless = True
    WebhookNotifier(there.url, key=b"").tell(FAILED)


def test_silent_receiver_is_given_up(there: Receiver) -> None:
    """After its time, to be tried again."""
    there.silent = True
    with pytest.raises(NotToldError) as refused:
        WebhookNotifier(there.url, key=b"", timeout_seconds=0.2).tell(FAILED)
    assert not refused.value.final


def test_dripping_answer_is_cut_off(there: Receiver) -> None:
    """Each byte comes in time, and the whole never does."""
    there.dripping = True
    with pytest.raises(NotToldError) as refused:
        WebhookNotifier(there.url, key=b"", timeout_seconds=0.3).tell(FAILED)
    assert not refused.value.final


def test_nobody_there_is_worth_another_try() -> None:
    """As when the receiver is being restarted."""
    with receiver() as gone:
        url = gone.url
    with pytest.raises(NotToldError) as refused:
        WebhookNotifier(url, key=b"").tell(FAILED)
    assert not refused.value.final


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/x",
        "file:///etc/passwd",
        "https://",
        "https://user:word@host/",
        "https://host:port/",
        "https://ho st/",
        "https://host/\r\nx",
        "host/path",
        "",
    ],
)
def test_url_that_cannot_be_posted_to_is_refused(url: str) -> None:
    """Before anything is sent."""
    assert url_problem(url)
    with pytest.raises(NotToldError):
        WebhookNotifier(url, key=b"")


@pytest.mark.parametrize(
    ("peer", "refused"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("127.0.0.1", False),
        ("10.0.0.7", False),
        ("2001:db8::1", False),
    ],
)
def test_metadata_services_are_posted_nothing(peer: str, *, refused: bool) -> None:
    """Whatever name leads there; the receivers of a private network are a user's own."""
    assert is_link_local(peer) is refused


def test_key_that_is_no_base64_after_its_mark_is_refused() -> None:
    """And not repeated."""
    with pytest.raises(NotToldError, match="base64 must follow") as refused:
        signing_key("whsec_$$$")
    assert "$$$" not in str(refused.value)
