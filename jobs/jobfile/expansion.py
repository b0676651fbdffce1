"""The keys of a job file that make many requests of a row: `templates` and `sweep`."""

from typing import Any, Self

from pydantic import model_validator

from jobs.jobfile.values import (
    Count,
    GuidanceAxis,
    HeightAxis,
    Limit,
    LorasAxis,
    ModelAxis,
    NegativeAxis,
    SchedulerAxis,
    SeedAxis,
    StepsAxis,
    SweepMode,
    TemplateMode,
    WidthAxis,
    shown,
)
from jobs.written import Written
from pipeline.errors import JobFileError
from pipeline.manifest.sweep import Sweep, make_sweep

DEFAULT_LIMIT = 100_000
"""Requests of one row, where the job file does not say."""


class TemplatesEntry(Written):
    """Whether prompts are templates, and which of their prompts are rendered."""

    mode: TemplateMode | None = None
    """`exhaustive`: all of them; `random`: `count` of them by dice. Left out: random where a count is given."""
    count: Count | None = None
    """Prompts that dice choose of each row."""
    limit: Limit = DEFAULT_LIMIT
    """A row that stands for more requests is refused."""

    @model_validator(mode="before")
    @classmethod
    def _true_is_all_defaults(cls, value: Any) -> Any:
        """`templates: true` switches them on."""
        if value is True:
            return {}
        if not isinstance(value, dict):
            raise ValueError(f"must be true, false, or such as {{mode: random, count: 10}}, got {shown(value)}")
        return value

    @model_validator(mode="after")
    def _count_is_of_dice(self) -> Self:
        """Refuse a count that would mean nothing, or too much."""
        if self.mode == "exhaustive" and self.count is not None:
            raise ValueError("count is for mode: random; exhaustive makes all there are")
        if (self.count or 1) > self.limit:
            raise ValueError(f"count is {self.count:,} and limit {self.limit:,}; raise the limit")
        return self

    @property
    def draws(self) -> int | None:
        """Prompts of each row by dice; None: all."""
        return (self.count or 1) if self.mode == "random" or self.count is not None else None


class SweepEntry(Written):
    """Fields that take several values: every row is rendered with each of them."""

    mode: SweepMode = "product"
    """`product`: each value with every other; `zip`: the first ones together, the second ones together, ..."""
    seed: SeedAxis | None = None
    width: WidthAxis | None = None
    height: HeightAxis | None = None
    steps: StepsAxis | None = None
    guidance_scale: GuidanceAxis | None = None
    negative_prompt: NegativeAxis | None = None
    scheduler: SchedulerAxis | None = None
    model: ModelAxis | None = None
    loras: LorasAxis | None = None

    @model_validator(mode="after")
    def _points_can_be_made(self) -> Self:
        """Refuse no axis at all, axes that do not go together, and too many points."""
        try:
            self.sweep()
        except JobFileError as error:
            raise ValueError(str(error).removeprefix("sweep: ")) from None
        return self

    def sweep(self) -> Sweep:
        """The points, in the order in which the axes are known. Raises: JobFileError."""
        axes = {name: values for name in type(self).model_fields if name != "mode" and (values := getattr(self, name))}
        if not axes:
            raise JobFileError("sweep: names no field; write such as {guidance_scale: [5, 7.5]}")
        return make_sweep(axes, together=self.mode == "zip")
