"""What looks like a secret, or is one of this process's, gets into no log."""

import pytest

from infra.logs.masking import HIDDEN, Mask, without_secrets

KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

QUERY = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F2026&X-Amz-Security-Token=IQoJb3&X-Amz-Signature=0ab1c"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET https://me:geheim@host/x failed", "geheim"),
        ("redis://:geheim@host:6379", "geheim"),
        ("PUT https://b/k?X-Amz-Signature=abcdef0123&x=1", "abcdef0123"),
        (f"PUT https://b/k?{QUERY}", "AK%2F2026"),
        (f"PUT https://b/k?{QUERY}", "IQoJb3"),
        (f"PUT https://b/k?{QUERY}", "0ab1c"),
        ("GET https://b/k?AWSAccessKeyId=AKx&Signature=vjbyPxybdZ&Expires=1", "vjbyPxybdZ"),
        ("GET https://blob/k?sv=2026&sig=Zm9vYmFy%3D", "Zm9vYmFy"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("authorization: basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AKx/2026/s3, Signature=fe5f80f77d5fa3be", "fe5f80f77d5fa3be"),
        ("token=abc123&next", "abc123"),
        ('{"access_token": "abc123"}', "abc123"),
        ("x-api-key: abc123def", "abc123def"),
        (f"aws_secret_access_key = {KEY}", KEY),
        (f"{{'SecretAccessKey': '{KEY}'}}", KEY),
        ("aws_session_token=IQoJb3JpZ2lu", "IQoJb3JpZ2lu"),
        ("using hf_abcdefghijklmnopqrstu now", "hf_abcdefghijklmnopqrstu"),
        ("key AKIAABCDEFGHIJKLMNOP refused", "AKIAABCDEFGHIJKLMNOP"),
        ("role ASIAABCDEFGHIJKLMNOP refused", "ASIAABCDEFGHIJKLMNOP"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, secret: str) -> None:
    """Keys of AWS, tokens of the hub, URLs with users, headers, presigned queries; and hiding twice changes nothing."""
    hidden = without_secrets(text, {})
    assert secret not in hidden
    assert HIDDEN in hidden
    assert without_secrets(hidden, {}) == hidden


def test_values_of_variables_that_are_named_so_are_hidden() -> None:
    """Wherever they stand, the longer ones first; short ones are found in too many words."""
    environ = {"AWS_SECRET_ACCESS_KEY": KEY, "HF_TOKEN": "swordfish", "B_TOKEN": "swordfish-2", "C_TOKEN": "short"}
    mask = Mask(environ | {"HOME": "/home/someone"})
    assert mask.hide(f"{KEY}: no swordfish-2 but swordfish at /home/someone, in short") == (
        f"{HIDDEN}: no {HIDDEN} but {HIDDEN} at /home/someone, in short"
    )


@pytest.mark.parametrize(
    "text",
    [
        "image 3f-0a.png of t0000001: key images/ab/abc.png, s3://bucket/prefix, tokens 77, secretary",
        "the token endpoint answered 503; the signature of the cache is of another key",
        "worker w-1 of http://127.0.0.1:8265/api?x=1 takes store=s3://bucket and steps=30",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Ids, keys of objects and plain words are what a log is for."""
    assert without_secrets(text, {"HOME": "/home/x", "TOKEN": "short"}) == text
