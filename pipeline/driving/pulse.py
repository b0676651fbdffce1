"""The driver's pulse: status and node sessions go to the store at intervals; a store that is silent is borne with."""

import logging
from collections.abc import Callable

from pipeline.driving.drive_policy import DrivePolicy
from pipeline.errors import StoreUnavailableError
from pipeline.ledger.accounts import Accounts
from pipeline.ports import Clock, Store
from pipeline.status import Status

_LOG = logging.getLogger(__name__)

Publish = Callable[[Callable[[], Status], bool], None]
"""Told how to make the status, and whether it should reach the store this time."""


class Pulse:
    """Heartbeats, and how long the store has been silent.

    Args:
        accounts: the node sessions.
        store: where they go.
        clock: time.
        publish: shows the status.
        policy: how often.
        outage_seconds: how long an outage may last, as it is set now.
    """

    def __init__(
        self,
        *,
        accounts: Accounts,
        store: Store,
        clock: Clock,
        publish: Publish,
        policy: DrivePolicy,
        outage_seconds: Callable[[], float],
    ) -> None:
        self._accounts, self._store, self._clock = accounts, store, clock
        self._publish, self._policy, self._outage_seconds = publish, policy, outage_seconds
        self._beat_ns = clock.now_ns()
        self._silent_since_ns: int | None = None
        self._said = ""

    def beat(self, status: Callable[[], Status], *, force: bool = False) -> None:
        """Show the status; now and then put it and the node sessions into the store."""
        now_ns = self._clock.now_ns()
        due = force or now_ns - self._beat_ns > self._policy.heartbeat_seconds * 1e9
        try:
            self._publish(status, due)
            if due:
                self._beat_ns = now_ns
                self._accounts.write(self._store, now_ns)
                self._silent_since_ns = None
        except StoreUnavailableError as error:
            self.store_failed(str(error))

    def make_sessions_known(self) -> None:
        """Put new node sessions into the store before work is given to them, so that no record's session is unknown."""
        if not self._accounts.begun:
            return
        try:
            self._accounts.write(self._store, self._clock.now_ns())
        except StoreUnavailableError as error:
            self.store_failed(str(error))

    def store_failed(self, message: str) -> None:
        """The store did not answer."""
        self._said = message
        if self._silent_since_ns is None:
            self._silent_since_ns = self._clock.now_ns()
            _LOG.warning("the store does not answer: %s", message)

    @property
    def trouble(self) -> str:
        """What a person should know while the store is silent; empty while it answers."""
        return "" if self._silent_since_ns is None else f"waiting for the store: {self._said}"

    @property
    def outage(self) -> str | None:
        """Why the job must stop, once the store has been silent for too long."""
        if self._silent_since_ns is None:
            return None
        seconds = (self._clock.now_ns() - self._silent_since_ns) / 1e9
        if seconds <= self._outage_seconds():
            return None
        return f"the store has not answered for {seconds:.0f} s; submit again when it does, nothing is lost"
