"""Turns what boto3 raises into our tree of errors, with what the user can do about a final one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from botocore.exceptions import (
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    InvalidConfigError,
    LoginError,
    MetadataRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from infra.stores.s3_answers import (
    EXPIRED_CODES,
    SKEW_SECONDS,
    Answer,
    DamagedBodyError,
    UnusableCredentialsError,
    answer_of,
    code_of,
    is_untrusted,
    skew_seconds,
    status_of,
)
from pipeline.errors import (
    AlreadyExistsError,
    NotFoundError,
    SpotrenderError,
    StoreRefusedError,
    StoreUnavailableError,
)

_CLOCK_REMEDY: Final = "this machine's clock is wrong: set it (NTP)"

_CODE_REMEDIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "NoSuchBucket": "there is no such bucket: create it, or correct the store's URI",
        "InvalidBucketName": "this is no name of a bucket: correct the store's URI",
        "InvalidAccessKeyId": (
            "the access key is not known there: check AWS_ACCESS_KEY_ID or AWS_PROFILE, and AWS_ENDPOINT_URL if the "
            "bucket is not on AWS"
        ),
        "SignatureDoesNotMatch": "the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY",
        "RequestTimeTooSkewed": _CLOCK_REMEDY,
        "PermanentRedirect": "the bucket is in another region: set AWS_REGION to it",
        "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_REGION to it",
        "IllegalLocationConstraintException": "the bucket is in another region: set AWS_REGION to it",
        "QuotaExceeded": "the storage quota is used up: free some space or raise it",
        "XMinioStorageFull": "the storage is full: free some space",
    }
)

_EXPIRED_REMEDY: Final = "the credentials have expired: renew them (`aws sso login`, or a new session token)"

_HEAD_REMEDY: Final = (
    "bad request: renew the credentials if they are temporary, and set AWS_REGION to the bucket's region"
)

_MISSING_REMEDY: Final = (
    "no complete credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this "
    "machine a role"
)

_DENIED_REMEDY: Final = (
    "access denied: allow s3:ListBucket on the bucket and s3:GetObject, s3:PutObject, s3:DeleteObject on its objects"
)

_CERTIFICATE_REMEDY: Final = (
    "the store's certificate is not trusted: set AWS_CA_BUNDLE to the certificate of its authority, or correct "
    "AWS_ENDPOINT_URL"
)

_ROLE_CALLS: Final = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML", "GetRoleCredentials"})

_ROLE_REMEDY: Final = "the credentials may not take the role: check role_arn in ~/.aws/config and the role's trust"

_ERROR_REMEDIES: Final[tuple[tuple[tuple[type[Exception], ...], str], ...]] = (
    (
        (NoCredentialsError, PartialCredentialsError),
        _MISSING_REMEDY,
    ),
    (
        (ProfileNotFound, ConfigParseError, InvalidConfigError),
        "the AWS profile cannot be used: check AWS_PROFILE and ~/.aws/config",
    ),
    ((SSOError, LoginError, NoAuthTokenError, TokenRetrievalError), _EXPIRED_REMEDY),
    ((NoRegionError,), "no region is set: set AWS_REGION"),
)


def error_of(error: BaseException, *, uri: str, what: str, attempts: int) -> SpotrenderError:
    """The error of our tree that says this: one line without secrets, none of the server's own words.

    Args:
        error: one of `S3_ERRORS`.
        uri: of the store.
        what: verb and key.
        attempts: how often it was tried.
    """
    match answer_of(error):
        case Answer.ABSENT:
            return NotFoundError(f"{uri}: {what}: there is no such object")
        case Answer.TAKEN:
            return AlreadyExistsError(f"{uri}: {what}: the condition does not hold, another object is there")
        case Answer.TRANSIENT:
            summary = _summary_of(error)
            return StoreUnavailableError(f"{uri}: {what}: no proper answer in {attempts} attempts: {summary}")
        case _:
            return StoreRefusedError(f"{uri}: {what}: {_remedy_of(error)}")


def _remedy_of(error: BaseException) -> str:
    """What is wrong and what to do about it."""
    if isinstance(error, ClientError):
        return _remedy_for(error)
    if isinstance(error, UnusableCredentialsError):
        return str(error)
    if is_untrusted(error):
        return _CERTIFICATE_REMEDY
    for kinds, remedy in _ERROR_REMEDIES:
        if isinstance(error, kinds):
            return remedy
    return f"{type(error).__name__}: check the store's URI and the AWS settings"


def _remedy_for(error: ClientError) -> str:
    """The same for an answer of the store, or of the service that gives credentials."""
    code, status = code_of(error), status_of(error)
    if code in EXPIRED_CODES:
        return _HEAD_REMEDY if code == "400" else _EXPIRED_REMEDY
    if error.operation_name in _ROLE_CALLS:
        return f"{_ROLE_REMEDY} ({error.operation_name}: {code})"
    if status == 403 and SKEW_SECONDS < abs(seconds := skew_seconds(error)) < float("inf"):
        return f"{_CLOCK_REMEDY}; it is {abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} the store's"
    if code in _CODE_REMEDIES:
        return f"{_CODE_REMEDIES[code]} ({code})"
    if status in {401, 403}:
        return f"{_DENIED_REMEDY} ({code})"
    if status in {301, 307}:
        return f"{_CODE_REMEDIES['PermanentRedirect']} ({status})"
    return f"the store refused with {code} (HTTP {status}): check the store's URI and AWS_ENDPOINT_URL"


def _summary_of(error: BaseException) -> str:
    """A transient error in a few words, without secrets."""
    if isinstance(error, ClientError):
        return f"{code_of(error)} (HTTP {status_of(error)})"
    if isinstance(error, DamagedBodyError | UnusableCredentialsError):
        return str(error)
    if isinstance(error, CredentialRetrievalError | MetadataRetrievalError):
        return f"the credentials cannot be fetched from role or process ({type(error).__name__})"
    return type(error).__name__
