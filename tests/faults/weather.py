"""What the proxy is told to do and what it did: changed while it runs, from any thread."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from tests.faults.faults import FAULTS, Asked, Fault, Refuse, Reset, Stall, checked_rates, drawn

OutageKind = Literal["reset", "hang", "unavailable"]
"""`reset`: connections are reset; `hang`: nothing is ever said (a black hole); `unavailable`: 503 to everything."""

KEPT_EXCHANGES: Final = 50_000

SKEW_SECONDS: Final = 900.0
"""How far S3 lets a signature's time be off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a request's signature says."""

    access_key: str = ""
    at: datetime | None = None
    """None where the request is not signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request, and what became of it."""

    method: str
    path: str
    fault: str
    """Name of what struck it; empty when it passed."""
    status: int
    """What the server answered; 0 when it was not asked."""


class Weather:
    """The orders of one proxy and its counts.

    Args:
        rates: share of the requests that each fault of `FAULTS` strikes.
        seed: decides which requests.
        stall_seconds: how long a stalled request waits for nothing.
        now: seconds on a clock that never runs backwards.
    """

    def __init__(
        self,
        *,
        rates: Mapping[str, float] | None = None,
        seed: int = 0,
        stall_seconds: float = 5.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stall_seconds = stall_seconds
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT_EXCHANGES)
        self._rates = checked_rates(rates or {})
        self._seed, self._now = seed, now
        self._ordered: deque[Fault] = deque()
        self._expired: set[str] = set()
        self._clock_ahead_seconds = 0.0
        self._outage: tuple[float, float, OutageKind] = (0.0, 0.0, "reset")
        self._times: Counter[Asked] = Counter()
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def set_rates(self, rates: Mapping[str, float], *, seed: int | None = None) -> None:
        """Other rates from now on. Raises: ValueError: see `checked_rates`."""
        with self._lock:
            self._rates = checked_rates(rates)
            self._seed = self._seed if seed is None else seed

    def order(self, *faults: Fault) -> None:
        """Strike the next requests with these, one each, whatever the rates say."""
        with self._lock:
            self._ordered.extend(faults)

    def outage(self, seconds: float, *, after: float = 0.0, kind: OutageKind = "reset") -> None:
        """The store is away from `after` seconds on, for so many seconds; 0 ends an outage."""
        with self._lock:
            begin = self._now() + after
            self._outage = (begin, begin + seconds, kind)

    def expire(self, access_keys: Iterable[str]) -> None:
        """These access keys, and no others, have expired: whoever signs with one is told so until he has another."""
        with self._lock:
            self._expired = set(access_keys)

    def set_clock_ahead(self, seconds: float) -> None:
        """The server's clock is ahead of this machine's by so much; beyond a quarter of an hour it refuses."""
        with self._lock:
            self._clock_ahead_seconds = seconds

    @property
    def clock(self) -> datetime:
        """The server's."""
        with self._lock:
            return datetime.now(UTC) + timedelta(seconds=self._clock_ahead_seconds)

    @property
    def ordered(self) -> int:
        """How many ordered faults have struck nobody yet."""
        with self._lock:
            return len(self._ordered)

    @property
    def counts(self) -> dict[str, int]:
        """`requests`, `passed`, and how often each fault struck, by name."""
        with self._lock:
            return dict(self._counts)

    def outage_left(self) -> float:
        """Seconds until the present outage ends; 0 when there is none."""
        with self._lock:
            begin, end, _ = self._outage
            now = self._now()
            return end - now if begin <= now < end else 0.0

    def strike(self, asked: Asked, signed: Signed) -> tuple[str, Fault] | None:
        """What strikes this request, with its name for the counts; None lets it pass."""
        with self._lock:
            return self._ruled(signed) or self._struck(asked)

    def note(self, exchange: Exchange) -> None:
        """Count one request."""
        with self._lock:
            self.exchanges.append(exchange)
            self._counts.update(("requests", exchange.fault or "passed"))

    def _ruled(self, signed: Signed) -> tuple[str, Fault] | None:
        """Outage, expired keys and clocks, which strike everybody alike."""
        begin, end, kind = self._outage
        if begin <= self._now() < end:
            away: dict[OutageKind, Fault] = {
                "reset": Reset(),
                "hang": Stall(),
                "unavailable": Refuse(status=503, code="ServiceUnavailable"),
            }
            return "outage", away[kind]
        if signed.access_key in self._expired:
            return "expired", Refuse(status=400, code="ExpiredToken", message="The provided token has expired.")
        if signed.at is not None:
            seconds = (datetime.now(UTC) - signed.at).total_seconds() + self._clock_ahead_seconds
            if abs(seconds) > SKEW_SECONDS:
                return "skewed", Refuse(status=403, code="RequestTimeTooSkewed", dated=True)
        return None

    def _struck(self, asked: Asked) -> tuple[str, Fault] | None:
        """An ordered fault, else what chance brings."""
        times = self._times[asked]
        self._times[asked] += 1
        if self._ordered:
            return "ordered", self._ordered.popleft()
        name = drawn(self._rates, self._seed, asked, times)
        return None if name is None else (name, FAULTS[name])
