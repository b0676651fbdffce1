"""What each exception of botocore and urllib3 means: a class that nobody has decided on fails here.

Whatever the store does, the cause is STORE_UNAVAILABLE, which is never counted against an image. What differs is
whether work waits for it or the user must mend something first.
"""

from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError, SSLError

from infra.stores.s3_answers import S3_ERRORS
from infra.stores.s3_errors import error_of
from pipeline.causes import RULES, Remedy, cause_of
from pipeline.errors import AlreadyExistsError, NotFoundError, SpotrenderError, StoreRefusedError, StoreUnavailableError
from pipeline.record import Cause
from tests.causes.raisable import CONTEXTS, UNEXPLAINED, causes_of_loss, exception_classes, made

WAITED_FOR = {
    "botocore.exceptions": {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "ConnectionError",
        "CredentialRetrievalError",  # role, process or metadata service is away for a while, as a store is
        "EndpointConnectionError",
        "FlexibleChecksumError",  # the body was damaged on its way
        "HTTPClientError",
        "IncompleteReadError",
        "MetadataRetrievalError",
        "ProxyConnectionError",
        "ReadTimeoutError",
        "ResponseStreamingError",
        "SSLError",  # but for a certificate that is not trusted, see below
    },
    "botocore.parsers": {"ResponseParserError"},  # an answer that is none of S3
    "urllib3.exceptions": {
        "BodyNotHttplibCompatible",
        "ClosedPoolError",
        "ConnectTimeoutError",
        "DecodeError",
        "EmptyPoolError",
        "FullPoolError",
        "HTTPError",
        "HeaderParsingError",
        "HostChangedError",
        "IncompleteRead",
        "InvalidChunkLength",
        "InvalidHeader",
        "MaxRetryError",
        "NameResolutionError",
        "NewConnectionError",
        "PoolError",
        "ProtocolError",
        "ProxyError",
        "ReadTimeoutError",
        "RequestError",
        "ResponseError",
        "ResponseNotChunked",
        "SSLError",
        "TimeoutError",
        "TimeoutStateError",
        "UnrewindableBodyError",
    },
}
"""Tried again by the store, then by the job."""

CREDENTIALS = {
    "LoginAuthorizationCodeError": "renew them",
    "LoginError": "renew them",
    "LoginInsufficientPermissions": "renew them",
    "LoginRefreshRequired": "renew them",
    "LoginTokenLoadError": "renew them",
    "NoAuthTokenError": "renew them",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID",
    "PartialCredentialsError": "set AWS_ACCESS_KEY_ID",
    "SSOError": "renew them",
    "SSOTokenLoadError": "renew them",
    "TokenRetrievalError": "renew them",
    "UnauthorizedSSOTokenError": "renew them",
}
"""Refused, with this in the remedy."""

CONFIGURATION = {
    "ConfigParseError": "AWS_PROFILE",
    "InfiniteLoopConfigError": "AWS_PROFILE",
    "InvalidConfigError": "AWS_PROFILE",
    "NoRegionError": "AWS_REGION",
    "ProfileNotFound": "AWS_PROFILE",
    "LocationParseError": "store's URI",
    "LocationValueError": "store's URI",
    "ProxySchemeUnknown": "store's URI",
    "ProxySchemeUnsupported": "store's URI",
    "URLSchemeUnknown": "store's URI",
}
"""The same."""

UNLIKELY = {
    "AliasConflictParameterError",
    "ApiVersionNotFoundError",
    "AwsChunkedWrapperError",
    "BaseEndpointResolverError",
    "BotoCoreError",
    "CapacityNotAvailableError",
    "ChecksumError",
    "ConfigNotFound",
    "DataNotFoundError",
    "EndpointProviderError",
    "EndpointResolutionError",
    "EndpointVariantError",
    "InvalidChecksumConfigError",
    "InvalidDNSNameError",
    "InvalidDefaultsMode",
    "InvalidEndpointConfigurationError",
    "InvalidEndpointDiscoveryConfigurationError",
    "InvalidExpressionError",
    "InvalidHostLabelError",
    "InvalidIMDSEndpointError",
    "InvalidIMDSEndpointModeError",
    "InvalidMaxRetryAttemptsError",
    "InvalidProxiesConfigError",
    "InvalidRegionError",
    "InvalidRetryConfigurationError",
    "InvalidRetryModeError",
    "InvalidS3AddressingStyleError",
    "InvalidS3UsEast1RegionalEndpointConfigError",
    "InvalidSTSRegionalEndpointsConfigError",
    "MD5UnavailableError",
    "MissingDependencyException",
    "MissingParametersError",
    "OperationNotPageableError",
    "PaginationError",
    "ParamValidationError",
    "RangeError",
    "RefreshWithMFAUnsupportedError",
    "ServiceNotInRegionError",
    "StubAssertionError",
    "StubResponseError",
    "UnStubbedResponseError",
    "UnknownClientMethodError",
    "UnknownCredentialError",
    "UnknownEndpointError",
    "UnknownEndpointResolutionBuiltInName",
    "UnknownFIPSEndpointError",
    "UnknownKeyError",
    "UnknownParameterError",
    "UnknownRegionError",
    "UnknownServiceError",
    "UnknownServiceStyle",
    "UnknownSignatureVersionError",
    "UnknownTokenProviderError",
    "UnseekableStreamError",
    "UnsupportedOutpostResourceError",
    "UnsupportedS3AccesspointConfigurationError",
    "UnsupportedS3ArnError",
    "UnsupportedS3ConfigurationError",
    "UnsupportedS3ControlArnError",
    "UnsupportedS3ControlConfigurationError",
    "UnsupportedServiceProtocolsError",
    "UnsupportedSignatureVersionError",
    "ValidationError",
    "WaiterConfigError",
    "WaiterError",
}
"""Settings that botocore refuses, calls that we do not make: refused with the class's name and where to look."""

ANSWERS = {"ClientError", "EventStreamError"}
"""Decided by code and status, see below."""

ELSEWHERE = {"UndefinedModelAttributeError", "MissingServiceIdError"}
"""No error of a call: botocore's own model files lack something."""

MODULES = ("botocore.exceptions", "botocore.parsers", "urllib3.exceptions")

CODES = {
    ("SlowDown", 503): StoreUnavailableError,
    ("ServiceUnavailable", 503): StoreUnavailableError,
    ("InternalError", 500): StoreUnavailableError,
    ("502", 502): StoreUnavailableError,
    ("504", 504): StoreUnavailableError,
    ("ConditionalRequestConflict", 409): StoreUnavailableError,
    ("OperationAborted", 409): StoreUnavailableError,
    ("RequestTimeout", 400): StoreUnavailableError,
    ("IncompleteBody", 400): StoreUnavailableError,
    ("BadDigest", 400): StoreUnavailableError,
    ("XAmzContentChecksumMismatch", 400): StoreUnavailableError,
    ("TooManyRequests", 429): StoreUnavailableError,
    ("ThrottlingException", 400): StoreUnavailableError,
    ("PreconditionFailed", 412): AlreadyExistsError,
    ("304", 304): AlreadyExistsError,
    ("NoSuchKey", 404): NotFoundError,
    ("404", 404): NotFoundError,
    ("NoSuchBucket", 404): StoreRefusedError,
    ("AccessDenied", 403): StoreRefusedError,
    ("AllAccessDisabled", 403): StoreRefusedError,
    ("AccountProblem", 403): StoreRefusedError,
    ("InvalidAccessKeyId", 403): StoreRefusedError,
    ("SignatureDoesNotMatch", 403): StoreRefusedError,
    ("RequestTimeTooSkewed", 403): StoreRefusedError,
    ("ExpiredToken", 400): StoreRefusedError,
    ("InvalidToken", 400): StoreRefusedError,
    ("AuthorizationHeaderMalformed", 400): StoreRefusedError,
    ("PermanentRedirect", 301): StoreRefusedError,
    ("InvalidBucketName", 400): StoreRefusedError,
    ("InvalidRequest", 400): StoreRefusedError,
    ("KeyTooLongError", 400): StoreRefusedError,
    ("EntityTooLarge", 400): StoreRefusedError,
    ("MethodNotAllowed", 405): StoreRefusedError,
    ("QuotaExceeded", 403): StoreRefusedError,
    ("InvalidObjectState", 403): StoreRefusedError,
    ("NotImplemented", 501): StoreRefusedError,
}
"""Answers of S3 and of services that speak it, after the store's own retries; a conditional 501 is put plainly."""


def _error_of(error: BaseException) -> SpotrenderError:
    assert isinstance(error, S3_ERRORS), "it would pass the store by"
    return error_of(error, uri="s3://bucket", what="put k", attempts=8)


@pytest.mark.parametrize("module", MODULES)
def test_every_class_is_decided_on(module: str) -> None:
    """A new version of the library with a new class stops here until somebody says what it means."""
    decided = WAITED_FOR[module] | ({*CREDENTIALS, *CONFIGURATION} | UNLIKELY | ANSWERS | ELSEWHERE)
    assert set(exception_classes(module)) <= decided


def test_nothing_is_decided_on_that_is_not_there() -> None:
    """Lists that name what is gone are not believed."""
    there = {name for module in MODULES for name in exception_classes(module)}
    decided = set().union(*WAITED_FOR.values(), CREDENTIALS, CONFIGURATION, UNLIKELY, ANSWERS, ELSEWHERE)
    assert decided <= there
    for module, names in WAITED_FOR.items():
        assert names <= set(exception_classes(module))


@pytest.mark.parametrize("module", MODULES)
def test_each_class_waits_or_names_its_remedy(module: str) -> None:
    """As the tables say; botocore wraps whatever urllib3 raises that it does not know."""
    for name, kind in exception_classes(module).items():
        if name in ANSWERS | ELSEWHERE:
            continue
        error = made(kind)
        for seen in (error, HTTPClientError(error=error)) if module.startswith("urllib3") else (error,):
            if not isinstance(seen, S3_ERRORS):
                continue  # it comes wrapped alone
            told = _error_of(seen)
            if name in WAITED_FOR[module]:
                assert isinstance(told, StoreUnavailableError), name
            else:
                assert isinstance(told, StoreRefusedError), name
                remedy = CREDENTIALS.get(name) or CONFIGURATION.get(name) or f"{name}: check the store's URI"
                assert remedy in str(told), (name, str(told))


@pytest.mark.parametrize("module", MODULES)
def test_each_class_has_one_cause_that_counts_against_nobody(module: str) -> None:
    """In a living worker the store is the cause, with a notice and without; where the worker is gone, its loss is."""
    for name, kind in exception_classes(module).items():
        if name in ANSWERS | ELSEWHERE or not isinstance(error := made(kind), S3_ERRORS):
            continue
        assert cause_of(_error_of(error)) is Cause.STORE_UNAVAILABLE, name
        assert cause_of(_error_of(error), rendering=True) is Cause.STORE_UNAVAILABLE, name
    assert RULES[Cause.STORE_UNAVAILABLE].remedy is Remedy.WAIT_FOR_STORE
    assert causes_of_loss(Cause.INFRASTRUCTURE) == UNEXPLAINED
    assert set(UNEXPLAINED) == set(CONTEXTS)


@pytest.mark.parametrize(("code", "status"), CODES)
def test_each_answer_is_what_its_code_and_status_say(code: str, status: int) -> None:
    """Never what its class says, which is one for all."""
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert type(_error_of(ClientError(answer, "PutObject"))) is CODES[code, status]


def test_an_untrusted_certificate_is_the_only_tls_error_that_is_final() -> None:
    """Others come from the way."""
    assert isinstance(_error_of(SSLError(endpoint_url="x", error=OSError("EOF occurred"))), StoreUnavailableError)
    untrusted = SSLError(endpoint_url="x", error=OSError("[SSL: CERTIFICATE_VERIFY_FAILED] failed"))
    assert "AWS_CA_BUNDLE" in str(_error_of(untrusted))
