"""The faults that a network and an object store really produce, and which of them strikes a request.

Chance is a function of the seed, the request and how often it was seen, so that threads that race meet the same faults
in each run as long as they ask for the same things.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Answer with an S3 error instead of asking the server."""

    status: int
    code: str
    message: str = "as ordered"
    dated: bool = False
    """Whether the answer tells the server's time, as that of a real one does."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection instead of asking the server."""


@dataclass(frozen=True, slots=True)
class ResetInRequest:
    """Read half of the request's body, then reset the connection: the server never hears of it."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Ask the server, which does what it is asked, then reset the connection instead of passing the answer on."""


@dataclass(frozen=True, slots=True)
class CutBody:
    """Pass on half of the body of the server's answer, then reset the connection."""


@dataclass(frozen=True, slots=True)
class SpoilBody:
    """Pass the server's answer on with one bit of the body turned, and without its checksums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """Say nothing for a while, then reset the connection: the client runs into its timeout."""

    asked: bool = False
    """Whether the server is asked first, and does what it is asked."""


Fault = Refuse | Reset | ResetInRequest | LoseAnswer | CutBody | SpoilBody | Stall

FAULTS: Final[Mapping[str, Fault]] = MappingProxyType(
    {
        "slow_down": Refuse(status=503, code="SlowDown"),
        "internal_error": Refuse(status=500, code="InternalError"),
        "conflict": Refuse(status=409, code="ConditionalRequestConflict"),
        "reset": Reset(),
        "reset_in_request": ResetInRequest(),
        "lost_answer": LoseAnswer(),
        "cut_body": CutBody(),
        "spoil_body": SpoilBody(),
        "stall": Stall(),
        "stall_after_asking": Stall(asked=True),
    }
)
"""What rates are given for, by name."""

_ONLY_CONDITIONAL: Final = frozenset({"conflict"})
"""Strike puts under a condition alone, as with S3."""

_ONLY_READING: Final = frozenset({"cut_body", "spoil_body"})
"""Strike answers that have a body worth it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What chance looks at in a request."""

    method: str
    path: str
    """With its query."""
    conditional: bool = False
    """Whether it is a put under a condition."""


def checked_rates(rates: Mapping[str, float]) -> dict[str, float]:
    """The rates, if they are some. Raises: ValueError: an unknown fault, or shares of requests that are none."""
    for name, rate in rates.items():
        if name not in FAULTS:
            raise ValueError(f"there is no fault {name!r}; known: {', '.join(FAULTS)}")
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of {name} is a share of requests from 0 to 1, got {rate}")
    if sum(rates.values()) > 1:
        raise ValueError(f"the rates add up to {sum(rates.values())}, which is more than all requests")
    return dict(rates)


def drawn(rates: Mapping[str, float], seed: int, asked: Asked, times: int) -> str | None:
    """The name of the fault that strikes this request, or None.

    Args:
        rates: share of the requests, by fault; a fault that cannot strike this request leaves it alone.
        seed: another one, other victims.
        asked: the request.
        times: how often it was asked before.
    """
    left = random.Random(f"{seed} {times} {asked.method} {asked.path}").random()
    for name, rate in rates.items():
        left -= rate
        if left < 0:
            return name if _fits(name, asked) else None
    return None


def _fits(name: str, asked: Asked) -> bool:
    """Whether such a fault can strike such a request."""
    if name in _ONLY_CONDITIONAL:
        return asked.conditional
    return asked.method == "GET" or name not in _ONLY_READING
