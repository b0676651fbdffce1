"""A node's price as it changes: steps in time, integrated exactly.

The cost of a node from the epoch to an instant is the sum over the steps, kept in whole nano-dollar-nanoseconds and
rounded down once; an interval costs the difference of two such totals. So intervals that join up add up, wherever a
price changed, and a step that becomes known later changes nothing before its own instant.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from pipeline.pricing.money import gpu_share, nano_usd

FOREVER: Final = 1 << 62
"""An instant after all others."""

_NS_PER_HOUR = 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """From this instant on the whole node costs this much."""

    at_ns: int
    """Nanoseconds since the epoch; the first step of a tariff holds before it, too."""
    usd_per_hour: Decimal
    source: str
    """Where the price comes from, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """The price of one node over time."""

    steps: tuple[PriceStep, ...]
    """At least one, in the order of their instants."""
    final_until_ns: int = FOREVER
    """Prices before this instant do not change any more, whatever becomes known."""

    def cost(self, *, gpu_index: int, shares: int, started_ns: int, ended_ns: int) -> int:
        """Nano-dollars of one GPU of the node over an interval.

        Args:
            gpu_index: which GPU, from 0.
            shares: GPUs among which the node's price is divided.
            started_ns: instant.
            ended_ns: instant, not before `started_ns`.
        """
        before, after = self._until(started_ns), self._until(ended_ns)
        return gpu_share(after, gpu_index, shares) - gpu_share(before, gpu_index, shares)

    def at(self, instant_ns: int) -> PriceStep:
        """The step that holds at an instant."""
        place = bisect_right(self.steps, instant_ns, key=lambda step: step.at_ns)
        return self.steps[max(0, place - 1)]

    def between(self, started_ns: int, ended_ns: int) -> tuple[PriceStep, ...]:
        """The steps that hold within an interval, the first one from its beginning on."""
        first = replace(self.at(started_ns), at_ns=started_ns)
        return first, *(step for step in self.steps if started_ns < step.at_ns < ended_ns)

    def revised(self, steps: Iterable[PriceStep], *, final_until_ns: int) -> "Tariff":
        """The tariff after these steps became known; what is final of the present one stays.

        Args:
            steps: at least one, in any order; of two at one instant the later one counts.
            final_until_ns: prices before this instant are now final.
        """
        new = Tariff(steps=tuple({step.at_ns: step for step in sorted(steps, key=lambda one: one.at_ns)}.values()))
        cut = self.final_until_ns
        kept = [step for step in self.steps if step.at_ns < cut] if cut > 0 else []
        if kept and cut >= FOREVER:
            return self
        rest = (
            (replace(new.at(cut), at_ns=cut), *(step for step in new.steps if step.at_ns > cut)) if kept else new.steps
        )
        return Tariff(steps=_merged([*kept, *rest]), final_until_ns=max(cut, final_until_ns))

    def final(self, until_ns: int) -> "Tariff":
        """The same prices, of which those before an instant are final."""
        return replace(self, final_until_ns=max(self.final_until_ns, until_ns))

    def digest(self, until_ns: int) -> str:
        """Tells the prices up to an instant from any other ones, wherever they come from."""
        said: list[tuple[int, int]] = []
        for step in self.steps:
            price = nano_usd(step.usd_per_hour)
            if not said or (step.at_ns < until_ns and price != said[-1][1]):
                said.append((step.at_ns if said else 0, price))
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]

    def _until(self, instant_ns: int) -> int:
        """Nano-dollars of the node from the epoch to an instant, rounded down."""
        total, since_ns, price = 0, 0, nano_usd(self.steps[0].usd_per_hour)
        for step in self.steps[1:]:
            if step.at_ns >= instant_ns:
                break
            total += price * (step.at_ns - since_ns)
            since_ns, price = step.at_ns, nano_usd(step.usd_per_hour)
        return (total + price * (instant_ns - since_ns)) // _NS_PER_HOUR


def flat(usd_per_hour: Decimal, source: str, *, final_until_ns: int = FOREVER) -> Tariff:
    """One price at all times."""
    return Tariff(steps=(PriceStep(at_ns=0, usd_per_hour=usd_per_hour, source=source),), final_until_ns=final_until_ns)


def tariff_to_values(tariff: Tariff) -> dict[str, Any]:
    """As plain JSON values; money as strings."""
    steps = [[step.at_ns, str(step.usd_per_hour), step.source] for step in tariff.steps]
    return {"steps": steps, "final_until_ns": tariff.final_until_ns}


def tariff_from_values(values: dict[str, Any]) -> Tariff:
    """Read it back."""
    steps = tuple(PriceStep(at_ns=at, usd_per_hour=Decimal(usd), source=said) for at, usd, said in values["steps"])
    return Tariff(steps=steps, final_until_ns=values["final_until_ns"])


def _merged(steps: Iterable[PriceStep]) -> tuple[PriceStep, ...]:
    """Without the steps that change nothing."""
    merged: list[PriceStep] = []
    for step in steps:
        if not merged or (step.usd_per_hour, step.source) != (merged[-1].usd_per_hour, merged[-1].source):
            merged.append(step)
    return tuple(merged)
