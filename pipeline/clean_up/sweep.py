"""A clean-up that deletes images, and a driver that begins: whichever comes later sees the other.

A clean-up says that it sweeps, and looks at the jobs then; a driver takes its lease and says that it begins, and looks
whether somebody sweeps then. So either the clean-up sees the driver, and spares all that its job could need, or the
driver sees the clean-up, and waits until it is over before it looks which images there are. No clock is in this, but
that of the lease which a clean-up holds: one that died is over when that has expired, and one that slept meanwhile
finds its lease in other hands before it deletes anything more.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from pipeline.driving.lease import Lease
from pipeline.driving.lease_state import Owner
from pipeline.errors import NotFoundError
from pipeline.layout import SWEEPER, sweep_key
from pipeline.ports import Clock, Store

SWEEP_SCHEMA = 1
"""Version of the object; one of another is taken for a clean-up that sweeps."""

ABANDONED_SECONDS = 120.0
"""A clean-up that was silent for so long is over: no call of a store that it began is still on its way."""

_LOOK_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


class Phase(StrEnum):
    """How far a clean-up is."""

    MARKED = "marked"
    """It knows what it wants to delete, and waits; who begins now will be seen."""
    SWEEPING = "sweeping"
    """It looks again, and deletes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The clean-up that goes on."""

    phase: Phase
    at: str
    """When it began, ISO 8601, UTC."""
    images: int
    """That it wants to delete."""
    bytes: int


def read_sweep(store: Store) -> Sweep | None:
    """What goes on; None when nothing does."""
    try:
        values = json.loads(store.get(sweep_key()))
        if values.pop("schema") != SWEEP_SCHEMA:
            raise ValueError("another schema")
        return Sweep(**(values | {"phase": Phase(values["phase"])}))
    except NotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return Sweep(phase=Phase.SWEEPING, at="", images=0, bytes=0)


def put_sweep(store: Store, lease: Lease, sweep: Sweep) -> None:
    """Say how far it is. Raises: LeaseLostError: another clean-up, or a driver, has taken over."""
    lease.confirm()
    store.put(sweep_key(), json.dumps({"schema": SWEEP_SCHEMA} | asdict(sweep), indent=1).encode())


def heed_clean_up(store: Store, *, clock: Clock, token: str, keep: Callable[[], None]) -> None:
    """Wait until no clean-up sweeps; the end of one that died is put down here.

    Args:
        store: the real one.
        clock: waits.
        token: unique; by it a lease is known.
        keep: keeps the caller's own lease meanwhile.

    Raises:
        LeaseLostError: by `keep`.
        StoreUnavailableError: the store does not answer.
    """
    sweeper: Lease | None = None
    while (sweep := read_sweep(store)) is not None and sweep.phase is Phase.SWEEPING:
        if sweeper is None:
            _LOG.info("waits for a clean-up of the store")
        sweeper = sweeper or Lease(store, SWEEPER, owner=Owner(host="", pid=0), token=token, clock=clock)
        seen, free = sweeper.look()
        over = seen is None or seen.state.released or sweeper.silent_seconds() >= ABANDONED_SECONDS
        if free and over and sweeper.try_take() is None:
            store.delete(sweep_key())
            sweeper.release()
            return
        keep()
        clock.sleep(_LOOK_SECONDS)
