"""A store with weather of its own, and processes that may drive a job there."""

from collections.abc import Callable

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.driving.lease import Lease
from pipeline.driving.lease_state import Owner
from pipeline.errors import StoreUnavailableError
from pipeline.ports import ObjectInfo, PutMode

JOB = "demo-0123456789abcdef"


class Weather(MemoryStore):
    """A store that is away, loses answers, or knows no conditions, as a test wants."""

    away = False
    lossy = False
    """The write takes effect and the answer is lost."""
    careless = False
    """Conditions are ignored."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        self._rain()
        etag = super().put(key, body) if self.careless else super().put(key, body, mode=mode, if_match=if_match)
        if self.lossy:
            raise StoreUnavailableError("the answer was lost")
        return etag

    def head(self, key: str) -> ObjectInfo | None:
        self._rain()
        return super().head(key)

    def get(self, key: str) -> bytes:
        self._rain()
        return super().get(key)

    def _rain(self) -> None:
        if self.away:
            raise StoreUnavailableError("no answer")


class Place:
    """A store, and processes that each have a clock of their own."""

    def __init__(self) -> None:
        self.store = Weather()
        self.clock = ManualClock()
        self._count = 0

    def driver(
        self,
        host: str = "",
        *,
        clock: ManualClock | None = None,
        is_dead: Callable[[Owner], bool] = lambda _owner: False,
    ) -> Lease:
        """One more process that may drive the job."""
        self._count += 1
        return Lease(
            self.store,
            JOB,
            owner=Owner(host=host or f"host{self._count}", pid=self._count),
            token=f"token{self._count}",
            clock=clock or self.clock,
            is_dead=is_dead,
            conditional=not self.store.careless,
        )

    def take_in_time(self, lease: Lease, *, clock: ManualClock | None = None) -> float:
        """Try every second until it is taken; gives how long that took."""
        waited = 0.0
        while lease.try_take() is not None:
            (clock or self.clock).advance(1)
            waited += 1
            assert waited < 1000
        return waited
