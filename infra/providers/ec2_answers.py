"""Clients of EC2 and of the Price List API, and what their errors mean; what they tell is checked before it counts."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from pipeline.errors import PriceUnknownError

_T = TypeVar("_T")

_DENIED: Final = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthFailure"}
_TOKENS: Final = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}
_BUSY: Final = {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"}

MOST_USD_PER_HOUR: Final = Decimal(100_000)
"""No node costs this much; an answer that says so is wrong."""


class AwsClients:
    """Clients by the standard environment (credentials, profile, endpoints), each made once: that takes a second.

    They give up within half a minute.
    """

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, region: str) -> Any:
        """The client of a service in a region. Raises: PriceUnknownError: this machine's configuration is of no use."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        if (service, region) not in self._clients:
            config = Config(connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 2, "mode": "standard"})
            try:
                session: Any = boto3.session.Session()  # its types know only the services whose stubs are installed
                self._clients[service, region] = session.client(service, region_name=region, config=config)
            except (BotoCoreError, ValueError) as error:
                raise PriceUnknownError(_short(error)) from error
        return self._clients[service, region]


def asked(what: str, permission: str, ask: Callable[[], _T]) -> _T:
    """What a call gives.

    Args:
        what: the source, for the message.
        permission: which the call needs.
        ask: the call.

    Raises:
        PriceUnknownError: it failed, or its answer makes no sense.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        return ask()
    except ResponseParserError as error:
        raise PriceUnknownError(f"{what}: the answer makes no sense, it is another protocol's") from error
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))[:60]
        raise PriceUnknownError(f"{what}: {_meaning(code, permission)}") from error
    except BotoCoreError as error:
        raise PriceUnknownError(f"{what}: {_short(error)}") from error
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation, OverflowError, RecursionError) as error:
        raise PriceUnknownError(f"{what}: the answer makes no sense ({type(error).__name__})") from error


def price_of(text: object) -> Decimal:
    """A price that somebody told: a plain amount in dollars, above zero. Raises: ValueError: it is none."""
    if not isinstance(text, str):
        raise TypeError("a price must be text")
    price = Decimal(text)
    if not price.is_finite() or not 0 < price < MOST_USD_PER_HOUR:
        raise ValueError("a price must be more than nothing, and less than a fortune")
    return price


def _meaning(code: str, permission: str) -> str:
    """An error's code, and what to do about it."""
    if code in _DENIED:
        return f"{code}: these credentials may not {permission}"
    if code in _TOKENS:
        return f"{code}: the credentials are not valid (any more)"
    if code in _BUSY:
        return f"{code}: too many calls"
    return code or "an error without a code"


def _short(error: Exception) -> str:
    """One line of an error; credentials never stand in those of botocore."""
    return " ".join(str(error).split())[:200] or type(error).__name__
