"""Waits for the lease of a job: whoever holds it drives, and everybody else follows what it does."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.driving.lease import RENEW_SECONDS, TTL_SECONDS, Lease
from pipeline.driving.lease_state import SeenLease
from pipeline.driving.orders import StopButton
from pipeline.errors import StoreUnavailableError
from pipeline.job import JobState
from pipeline.ports import Clock, Store
from pipeline.status import Status, read_status

POLL_SECONDS = 1.0
"""Between two looks at the lease; below the time between two renewals, or it would never be seen to expire."""

PATIENCE_SECONDS = 900.0
"""A store that does not answer is asked again for so long."""

SILENT_SECONDS = 1.5 * RENEW_SECONDS
"""A lease that has not changed for so long is told to the user."""


class Following:
    """Follows the driver of a job until there is none.

    Args:
        lease: not held yet.
        store: where the job lies.
        clock: time.
        button: pressed when the user has seen enough.
        on_status: told the status of the driver that is followed.
        say: told, once each, what there is to say beside it.
    """

    def __init__(
        self,
        lease: Lease,
        store: Store,
        *,
        clock: Clock,
        button: StopButton,
        on_status: Callable[[Status], None],
        say: Callable[[str], None],
    ) -> None:
        self._lease, self._store, self._clock, self._button = lease, store, clock, button
        self._on_status, self._say = on_status, say
        self._fence = 0
        self._said = ""

    def until_taken_or_ended(self) -> Status | None:
        """None once the lease is ours; else the status in which the driver that we followed left the job.

        Raises:
            KeyboardInterrupt: the button was pressed; the job goes on without us.
            StoreUnavailableError: the store has not answered for `PATIENCE_SECONDS`.
            JobRefusedError: a newer version of spotrender drives the job.
        """
        answered = self._clock.now_ns()
        while self._button.pressed is None:
            try:
                seen, free = self._lease.look()
                if (ended := self._ended(seen, free=free)) is not None:
                    return ended
                if free and seen is not None and not seen.state.released:
                    self._say_once(f"its driver ({seen.state.owner}) is gone: taking over")
                if free and self._lease.try_take() is None:
                    return None
                answered = self._clock.now_ns()
                if seen is not None and not free:
                    self._fence = seen.state.fence
                    self._tell(seen)
            except StoreUnavailableError as error:
                if (self._clock.now_ns() - answered) / 1e9 > PATIENCE_SECONDS:
                    raise
                self._say_once(f"waiting for the store: {error}")
            self._clock.sleep(POLL_SECONDS)
        if self._fence:
            self._say_once(f"no longer following {self._lease.job}; its driver goes on")
        raise KeyboardInterrupt

    def _ended(self, seen: SeenLease | None, *, free: bool) -> Status | None:
        """The status of the driver that we follow, if it was its last: one that died, or waits, has none.

        After its last status it still writes the report page; it is done when it has let go of the lease, or died.
        """
        if not self._fence or seen is None:
            return None
        status = read_status(self._store, self._lease.job)
        if status is None or status.fence < max(seen.state.fence, self._fence):
            return None
        gone = seen.state.released or (free and status.state.terminal)
        over = gone and (status.state.terminal or status.state is JobState.PAUSED)
        if over:
            self._on_status(status)
        return status if over else None

    def _tell(self, seen: SeenLease) -> None:
        """Show what the driver does, and who it is."""
        owner, silent = seen.state.owner, self._lease.silent_seconds()
        message = f"{self._lease.job} is driven by {owner}: following"
        if silent > SILENT_SECONDS:
            message = f"its driver ({owner}) is silent; this one takes over when that has lasted {TTL_SECONDS:.0f} s"
        status = read_status(self._store, self._lease.job)
        self._say_once(message)
        if status is not None and status.fence >= seen.state.fence:
            self._on_status(replace(status, message=message))

    def _say_once(self, text: str) -> None:
        """Say what was not said last."""
        if text != self._said:
            self._said = text
            self._say(text)
