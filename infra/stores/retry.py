"""How often, and how patiently, a store is asked again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential back-off with full jitter: half a minute at most by default, about half of that on average."""

    attempts: int = 8
    """Calls in all; at least 1."""
    first_wait_seconds: float = 0.25
    """Upper limit of the first wait; it doubles each time."""
    longest_wait_seconds: float = 20.0
    """Upper limit of every wait."""
    answer_seconds: float = 30.0
    """How long to wait for the next bytes of an answer, before that counts as none."""
    sleep: Callable[[float], None] = time.sleep
    """Wait for so many seconds."""

    def call(self, action: Callable[[], _T], *, again: Callable[[BaseException], bool]) -> _T:
        """What `action` returns; its error when `again` says no, or when the attempts are used up."""
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=self.first_wait_seconds, max=self.longest_wait_seconds),
            retry=retry_if_exception(again),
            sleep=self.sleep,
            reraise=True,
        )
        return retrying(action)
