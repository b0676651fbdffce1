"""What a provider bills for an instance: its rules as data, applied once to each instance over all of its sessions.

The result is divided among the instance's sessions; what was accrued by time stays what budgets count.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.pricing.money import split
from pipeline.pricing.tariff import Tariff

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingRule:
    """How one provider bills instances."""

    provider: str
    granularity_seconds: int = 1
    """An instance's time is rounded up to whole multiples of this: a second, a minute, an hour."""
    minimum_seconds: int = 0
    """No instance is billed for less."""
    free_if_reclaimed_within_seconds: int = 0
    """A spot instance that the provider takes back this soon after its launch is free; 0: there is no such rule."""
    source: str = ""
    as_of: str = ""

    def billed_ns(self, lifetime_ns: int) -> int:
        """The time that is billed for an instance that lived so long."""
        grain = self.granularity_seconds * _SECOND_NS
        return max(self.minimum_seconds * _SECOND_NS, -(-lifetime_ns // grain) * grain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One session of an instance, of this job or of another one of the store."""

    session: str
    """Name; names of two jobs may be alike."""
    launched_ns: int
    """When the instance was launched, as far as this session knows."""
    started_ns: int
    ended_ns: int
    """Now for one that runs."""
    accrued_nano: int
    """By time and price, nano-dollars."""
    market: str
    terminated_by: str
    """`reclaimed`, `released`, `lost` or `running`."""
    gpus: int = 1
    shares: int = 1
    """`gpus` of so many are this session's."""
    tariff: Tariff | None = None
    """None for a session of another job, which is billed already."""
    billed_nano: int = 0
    """What another job's session was billed."""


def bill(usages: Sequence[Usage], rule: BillingRule | None) -> dict[str, int]:
    """Nano-dollars billed for the sessions of one instance that have a tariff; with the others they add up to its bill.

    Rounding up, and what a minimum adds, is time after the last session's end, at its last price and for its GPUs.
    Sessions of other jobs keep what they were billed; the rest falls to the others by largest remainder.

    Args:
        usages: all sessions of the instance that are known.
        rule: of its provider; None bills what was accrued.
    """
    own = [usage for usage in usages if usage.tariff is not None]
    if rule is None or not own:
        return {usage.session: usage.accrued_nano for usage in own}
    launched_ns = min(usage.launched_ns for usage in usages)
    last = max(usages, key=lambda usage: usage.ended_ns)
    if _is_free(last, rule, last.ended_ns - launched_ns):
        return {usage.session: 0 for usage in own}
    total = sum(usage.accrued_nano for usage in usages)
    if last.tariff is not None and last.terminated_by != "running":
        # What was there before this store's jobs used the instance, others pay for.
        added_ns = rule.billed_ns(last.ended_ns - launched_ns) - (last.ended_ns - launched_ns)
        total += sum(
            last.tariff.cost(
                gpu_index=gpu, shares=last.shares, started_ns=last.ended_ns, ended_ns=last.ended_ns + added_ns
            )
            for gpu in range(last.gpus)
        )
    rest = max(0, total - sum(usage.billed_nano for usage in usages if usage.tariff is None))
    parts = split(rest, [usage.accrued_nano for usage in own])
    return {usage.session: part for usage, part in zip(own, parts, strict=True)}


def _is_free(last: Usage, rule: BillingRule, lifetime_ns: int) -> bool:
    """Whether the provider took the instance back before it had to be paid for."""
    within_ns = rule.free_if_reclaimed_within_seconds * _SECOND_NS
    return last.market == "spot" and last.terminated_by == "reclaimed" and lifetime_ns < within_ns


def rules_by_provider(rules: Iterable[BillingRule]) -> Mapping[str, BillingRule]:
    """The rules by the names of their providers."""
    return {rule.provider: rule for rule in rules}
