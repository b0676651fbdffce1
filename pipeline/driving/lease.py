"""The lease of a job: who drives it. At most one driver holds it, and its fence names all that this driver rewrites.

It is one object, replaced only under its ETag. It has expired when that ETag has not changed for `TTL_SECONDS` on the
observer's monotonic clock: no two clocks are ever compared. A driver that could not renew it for a while, however long,
goes on if the object still holds its token, and stops when it holds another's.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from pipeline.driving.lease_state import NOBODY, LeaseState, Owner, SeenLease, lease_to_json, read_lease
from pipeline.errors import (
    AlreadyExistsError,
    LeaseLostError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pipeline.layout import lease_key
from pipeline.ports import Clock, Store
from pipeline.status import latest_fence

TTL_SECONDS = 15.0
"""A lease that did not change for so long has expired."""

RENEW_SECONDS = 5.0
"""How often its holder changes it."""

SURE_SECONDS = 12.0
"""For so long after a renewal its holder need not ask whether it still holds it."""

SETTLE_SECONDS = 2.0
"""On a store without conditional writes: how long after a write to look who wrote last."""

_TRIES = 5
_LOG = logging.getLogger(__name__)


class Lease:
    """One process's hold on a job; safe to use from several threads.

    Args:
        store: where the job lies.
        job: job id.
        owner: this process.
        token: unique; by it a holder knows its own lease again.
        clock: monotonic.
        is_dead: whether a process is surely gone; one that cannot be told is taken for alive.
        conditional: whether the store honours conditional writes; else a write is read back, which is best effort.
    """

    def __init__(
        self,
        store: Store,
        job: str,
        *,
        owner: Owner,
        token: str,
        clock: Clock,
        is_dead: Callable[[Owner], bool] = lambda _owner: False,
        conditional: bool = True,
    ) -> None:
        self._store, self.job, self._clock = store, job, clock
        self._owner, self._token, self._is_dead, self._conditional = owner, token, is_dead, conditional
        self._lock = threading.RLock()
        self._held: SeenLease | None = None
        self._lost: LeaseLostError | None = None
        self._renewed_ns = 0
        self._watched, self._watched_since_ns, self._looked_ns = "", 0, 0

    @property
    def held(self) -> bool:
        """Whether it was taken, and neither released nor seen in other hands."""
        return self._held is not None and self._lost is None

    @property
    def fence(self) -> int:
        """Number of this driver. Raises: LeaseLostError: it is not held."""
        return self._mine().state.fence

    def look(self) -> tuple[SeenLease | None, bool]:
        """The lease as it is, and whether it may be taken. Raises: StoreUnavailableError, JobRefusedError."""
        with self._lock:
            seen = read_lease(self._store, self.job)
            return seen, seen is None or self._is_free(seen)

    def silent_seconds(self) -> float:
        """For how long the lease that was looked at last has not changed, as far as this process looked."""
        return (self._clock.now_ns() - self._watched_since_ns) / 1e9 if self._watched else 0.0

    def try_take(self) -> SeenLease | None:
        """Take it if it is free; else gives who holds it.

        Raises:
            StoreUnavailableError: it is not known whether it was taken; the next try finds out.
            JobRefusedError: a newer version of spotrender drives this job.
        """
        with self._lock:
            seen = read_lease(self._store, self.job)
            if seen is not None and not self._is_free(seen):
                return seen
            fence = max(latest_fence(self._store, self.job), seen.state.fence if seen else 0) + 1
            self._lost, asked_ns = None, self._clock.now_ns()
            wanted = LeaseState(fence=fence, token=self._token, owner=self._owner)
            try:
                self._write(wanted, seen.etag if seen else None, asked_ns)
            except AlreadyExistsError:
                return self._after_conflict(asked_ns)
            if not self._conditional:
                self._clock.sleep(SETTLE_SECONDS)
                return self._after_conflict(asked_ns)
            return None

    def raise_fence(self) -> int:
        """A fence above all that were ever used, for one more round of the same driver. Raises: as `renew`."""
        with self._lock:
            fence = max(self.fence, latest_fence(self._store, self.job)) + 1
            self._change(fence=fence)
            return fence

    def renew(self) -> None:
        """Change it, so that others see its holder live.

        Raises:
            StoreUnavailableError: it may have expired for others meanwhile; nothing is lost yet.
            LeaseLostError: it holds another's token.
        """
        with self._lock:
            self._change(fence=self.fence)

    def beat(self) -> None:
        """Renew it if that is due; says nothing but in the log. Does nothing while another thread is at it."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self.held and self._clock.now_ns() - self._renewed_ns >= RENEW_SECONDS * 1e9:
                self.renew()
        except LeaseLostError as error:
            _LOG.warning("%s", error)
        except (StoreUnavailableError, StoreRefusedError) as error:
            _LOG.debug("the lease is not renewed yet: %s", error)
        finally:
            self._lock.release()

    def keep(self) -> None:
        """Renew it if that is due, and stop who has lost it. Raises: LeaseLostError."""
        self.beat()
        self._mine()

    def check(self) -> None:
        """Make sure that it is held; asks the store only when the last renewal is too long ago. Raises: as `renew`."""
        self._mine()
        if self._is_sure():
            return
        with self._lock:
            if not self._is_sure():
                self.renew()

    def confirm(self) -> None:
        """Make sure that the store says it is held, whatever the clock says. Raises: as `renew`."""
        with self._lock:
            self._mine()
            seen = read_lease(self._store, self.job)
            if seen is None:
                self.renew()
            elif seen.state.token != self._token:
                raise self._lose(seen)

    def release(self) -> bool:
        """Let the next one begin at once; gives whether it was ours until now.

        A store that does not answer lets the next one wait for the expiry.
        """
        with self._lock:
            try:
                if self.held:
                    self._change(fence=self.fence, released=True)
            except (StoreUnavailableError, StoreRefusedError) as error:
                _LOG.debug("the lease was not released: %s", error)
            except LeaseLostError as error:
                _LOG.warning("%s", error)
            self._held = None
            return self._lost is None

    def _is_free(self, seen: SeenLease) -> bool:
        """Whether this lease may be taken over: released, its owner dead, our own, or not changed for its time.

        Only time in which it was looked at counts: after an outage of the store its holder has a whole period again.
        """
        now_ns, state = self._clock.now_ns(), seen.state
        if seen.etag != self._watched or now_ns - self._looked_ns > RENEW_SECONDS * 1e9:
            self._watched, self._watched_since_ns = seen.etag, now_ns
        self._looked_ns = now_ns
        ours = state.token == self._token
        return ours or state.released or self._is_dead(state.owner) or self.silent_seconds() >= TTL_SECONDS

    def _is_sure(self) -> bool:
        """Whether nobody can have seen it expire yet."""
        return self._clock.now_ns() - self._renewed_ns <= SURE_SECONDS * 1e9

    def _change(self, *, fence: int, released: bool = False) -> None:
        """Write it anew under our own ETag; a lost answer to the last write is made good."""
        for _ in range(_TRIES):
            if not self._conditional:
                self._adopt()
            mine, asked_ns = self._mine(), self._clock.now_ns()
            wanted = replace(mine.state, fence=fence, renewed=mine.state.renewed + 1, released=released)
            try:
                self._write(wanted, mine.etag or None, asked_ns)
            except AlreadyExistsError:
                self._adopt()
            else:
                return
        raise StoreUnavailableError(f"{self._store.uri}: the lease of {self.job} cannot be written")

    def _write(self, wanted: LeaseState, etag: str | None, asked_ns: int) -> None:
        """Put it in place of that ETag, or as a new object. Raises: AlreadyExistsError: it holds something else."""
        key, body = lease_key(self.job), lease_to_json(wanted)
        written = (
            self._store.put(key, body, mode="create") if etag is None else self._store.put(key, body, if_match=etag)
        )
        self._held, self._renewed_ns = SeenLease(state=wanted, etag=written), asked_ns

    def _adopt(self) -> None:
        """Find out what the lease holds: our token, as after a lost answer, or nothing. Raises: LeaseLostError."""
        seen = read_lease(self._store, self.job)
        if seen is None:
            self._held = SeenLease(state=self._mine().state, etag="")  # somebody removed it: it is nobody else's
        elif seen.state.token != self._token:
            raise self._lose(seen)
        else:
            self._held = seen

    def _after_conflict(self, asked_ns: int) -> SeenLease | None:
        """After a taking that may have failed: None when it is ours all the same, else who holds it."""
        seen = read_lease(self._store, self.job)
        if seen is not None and seen.state.token == self._token:
            self._held, self._renewed_ns = seen, asked_ns
            return None
        self._held = None
        return seen or SeenLease(state=NOBODY, etag="")

    def _mine(self) -> SeenLease:
        """The lease as we hold it. Raises: LeaseLostError."""
        if self._lost is not None:
            raise self._lost
        if self._held is None:
            raise LeaseLostError(f"{self.job}: the lease is not held")
        return self._held

    def _lose(self, seen: SeenLease) -> LeaseLostError:
        """Remember that it is another's, for good."""
        self._lost = LeaseLostError(
            f"{self.job} is driven by {seen.state.owner} now, which took the lease over while this driver was silent;"
            " this one has stopped, and nothing that was committed is lost"
        )
        return self._lost
