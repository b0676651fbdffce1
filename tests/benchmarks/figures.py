"""What a benchmark found: figures beside their named baselines, with the target and whether it was met."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measurement: samples of ours, of the baseline in the same rounds, and the limit that was promised."""

    name: str
    """What was measured."""
    unit: str
    """Of the samples: `images/s`, `s`, `MiB`."""
    ours: tuple[float, ...]
    """One sample for each round."""
    baseline: tuple[float, ...] = ()
    """The same rounds of the baseline; empty when the limit is on our own value."""
    baseline_name: str = ""
    limit: float
    """On the ratio ours / baseline, or on our own value when there is no baseline."""
    at_least: bool
    """True: the limit is a floor; False: a ceiling."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours over the baseline, round by round."""
        return tuple(mine / theirs for mine, theirs in zip(self.ours, self.baseline, strict=True))

    @property
    def value(self) -> float:
        """What the limit is about: the median of the rounds' own ratios, or our median."""
        return median(self.ratios if self.baseline else self.ours)

    @property
    def met(self) -> bool:
        """Whether the limit was kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """All that one benchmark has to say."""

    key: str
    """Letter of the benchmark."""
    title: str
    method: str
    """What was measured, from when to when, beside what."""
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """Whatever else was measured, one line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large a benchmark runs."""

    rounds: int | None = None
    """How often everything is measured, in turns; None: the benchmark's own choice."""
    quick: bool = False
    """Tiny sizes, to see that it runs at all; its figures mean nothing."""

    def pick(self, full: int, quick: int) -> int:
        """A size."""
        return quick if self.quick else full

    def rounds_or(self, full: int) -> range:
        """The rounds to run; one when quick."""
        return range(self.rounds or self.pick(full, 1))


def shown(value: float) -> str:
    """Three digits and no exponent: 0.952, 1.23, 12.3, 1,230."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def spread(values: Sequence[float]) -> str:
    """The median, and the range when there are several."""
    middle = shown(median(values))
    return middle if len(values) == 1 else f"{middle} ({shown(min(values))}-{shown(max(values))})"
