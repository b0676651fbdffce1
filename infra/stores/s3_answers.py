"""What an S3 error means: absent, taken, transient, expired or final."""

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from types import MappingProxyType
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    SSLError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import LocationValueError, ProxySchemeUnsupported


class Answer(Enum):
    """What to make of an error."""

    ABSENT = "absent"
    """There is no such object."""
    TAKEN = "taken"
    """A condition of the put does not hold."""
    UNCONDITIONAL = "unconditional"
    """The store knows no conditional puts."""
    TRANSIENT = "transient"
    """Ask again."""
    EXPIRED = "expired"
    """Ask again, with fresh credentials."""
    FINAL = "final"
    """The user must mend something."""


class DamagedBodyError(Exception):
    """The bytes that arrived are not those that the store says it holds."""


class UnusableCredentialsError(Exception):
    """What gives the credentials failed in a way that botocore does not tell as an error of its own.

    Args:
        answer: what that means.
        reason: in one line, without secrets.
    """

    def __init__(self, answer: Answer, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer


S3_ERRORS: Final = (
    ClientError,
    BotoCoreError,
    Urllib3Error,
    ResponseParserError,
    DamagedBodyError,
    UnusableCredentialsError,
)
"""Everything that a call to S3 raises."""

SKEW_SECONDS: Final = 900.0
"""How far S3 lets the time of a signature be off."""

_TRANSIENT_CODES: Final = frozenset(
    {
        "BadDigest",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)

EXPIRED_CODES: Final = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "400"}
)
"""`400` is what an expired token looks like to HEAD, whose answer has no body to say so."""

_STATUS: Final[Mapping[int, Answer]] = MappingProxyType(
    {
        304: Answer.TAKEN,  # MinIO before May 2024, to a put whose If-None-Match fails
        404: Answer.ABSENT,
        408: Answer.TRANSIENT,
        409: Answer.TRANSIENT,
        412: Answer.TAKEN,
        425: Answer.TRANSIENT,
        429: Answer.TRANSIENT,
        501: Answer.UNCONDITIONAL,
    }
)

_TRANSIENT_ERRORS: Final = (
    BotoConnectionError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    Urllib3Error,
    ResponseParserError,
    DamagedBodyError,
)

_NO_ADDRESS: Final = (LocationValueError, ProxySchemeUnsupported)
"""A URL of store or proxy that is none; botocore hides it in an error of the connection."""

_NOT_RUNNABLE: Final = frozenset({errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR})


def answer_of(error: BaseException) -> Answer:
    """What an error of a call to S3 means."""
    if isinstance(error, ClientError):
        return _answer_to(error)
    if isinstance(error, UnusableCredentialsError):
        return error.answer
    if is_untrusted(error) or isinstance(_cause_of(error), _NO_ADDRESS):
        return Answer.FINAL
    return Answer.TRANSIENT if isinstance(error, _TRANSIENT_ERRORS) else Answer.FINAL


def _answer_to(error: ClientError) -> Answer:
    """What an answer of the store means that is no success."""
    code, status = code_of(error), status_of(error)
    if code in EXPIRED_CODES:
        return Answer.EXPIRED
    if code in _TRANSIENT_CODES:
        return Answer.TRANSIENT
    if code == "RequestTimeTooSkewed" and abs(skew_seconds(error)) < SKEW_SECONDS:
        return Answer.TRANSIENT  # this process slept between signing and sending; it signs anew
    if code == "NoSuchBucket":
        return Answer.FINAL
    if status in _STATUS:
        return _STATUS[status]
    return Answer.TRANSIENT if status >= 500 else Answer.FINAL


def code_of(error: ClientError) -> str:
    """The S3 error code, or the HTTP status as text where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def skew_seconds(error: ClientError, *, now: datetime | None = None) -> float:
    """How far the store's clock is ahead of this machine's, by its own answer; infinite when it does not tell."""
    told = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return float("inf")
    return (at.replace(tzinfo=at.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()


def is_untrusted(error: BaseException) -> bool:
    """Whether the store's certificate is one that this machine does not trust."""
    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


@contextmanager
def usable_credentials() -> Iterator[None]:
    """Turn what leaks out of botocore's chain of credentials in the block into an error with an answer.

    Raises:
        UnusableCredentialsError: in place of `OSError`, `ValueError` and `RuntimeError`.
    """
    try:
        yield
    except (BotoCoreError, ClientError):
        raise  # some of them are an OSError or a ValueError too
    except OSError as error:
        answer = Answer.FINAL if error.errno in _NOT_RUNNABLE else Answer.TRANSIENT
        reason = "the program that gives the credentials cannot be run: check credential_process in ~/.aws/config"
        raise UnusableCredentialsError(answer, reason) from error
    except ValueError:
        reason = "what gives the credentials does not answer in JSON: run credential_process by hand"
        raise UnusableCredentialsError(Answer.TRANSIENT, reason) from None  # the error may hold what was printed
    except RuntimeError as error:  # so botocore says that fresh credentials have expired already
        reason = "what gives the credentials gives expired ones: renew them where they come from"
        raise UnusableCredentialsError(Answer.EXPIRED, reason) from error


def _cause_of(error: BaseException) -> object:
    """What botocore's error of a connection hides, else the error itself."""
    return error.kwargs.get("error", error) if isinstance(error, HTTPClientError | BotoConnectionError) else error
