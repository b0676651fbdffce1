"""What one driver's run costs beside its node sessions: the store, and what is overhead; told in status and ledger."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from pipeline.driving.type_meter import TypeMeter
from pipeline.ports import Clock
from pipeline.pricing.overhead import HeadPrice, Overhead
from pipeline.pricing.storage_cost import CountedCalls, StorageCost, StorageRates, StoreMeter
from pipeline.status import Status


class Beside:
    """Counts from now on.

    Args:
        store: the driver's own.
        rates: what it charges; None where it is free.
        head: what the cluster's head costs; None where nobody says.
        clock: time.
    """

    def __init__(self, store: object, *, rates: StorageRates | None, head: HeadPrice | None, clock: Clock) -> None:
        self._clock, self.meter = clock, StoreMeter(store, rates=rates)
        self._overhead = Overhead(head, since_ns=clock.now_ns())
        self._types: TypeMeter | None = None

    def begin(self, workers: CountedCalls, earlier: Status | None, types: TypeMeter) -> None:
        """Take up what the drivers before this one told.

        Args:
            workers: of this driver, which tell what they ask of the store.
            earlier: what the last status said.
            types: what images cost on each type of node, which is told, too.
        """
        self._types = types
        self.meter.begin(workers, earlier.storage if earlier else StorageCost())
        self._overhead.earlier_usd = earlier.overhead_usd if earlier else Decimal(0)

    def facts(self) -> dict[str, Any]:
        """What the nodes ledger's metadata keeps of it."""
        return self.meter.facts() | self._overhead.facts(self._clock.now_ns())

    def told_in(self, status: Status) -> Status:
        """The status with what all of it costs so far."""
        overhead_usd = self._overhead.accrued_usd(self._clock.now_ns())
        types = () if self._types is None else self._types.figures(fresh=status.state.terminal)
        return replace(status, storage=self.meter.cost(), overhead_usd=overhead_usd, types=types)
