"""The performance profile of a job becomes levers of its models; what cannot be had is refused or said."""

from collections.abc import Sequence
from dataclasses import replace

from jobs.jobfile import PerformanceEntry
from pipeline.errors import ModelError
from pipeline.job import NodeOffer
from pipeline.model import Model
from pipeline.performance import PROFILES, Levers
from pipeline.renderers.table import renderer_kind

_NEXT = {"quantization": {"fp8": "int8", "int8": "none", "int4": "none"}, "step_cache": {"mag": "none"}}
"""What a profile falls back to when a lever cannot be had."""


def with_performance(
    model: Model, entry: PerformanceEntry, offers: Sequence[NodeOffer]
) -> tuple[Model, tuple[str, ...]]:
    """The model with its levers frozen in, and what of the profile had to be left out, for a person.

    Args:
        model: resolved.
        entry: as the user wrote it.
        offers: nodes that may render it.

    Raises:
        ModelError: a lever that the user named cannot be had, with the alternatives.
    """
    kind = renderer_kind(model.renderer)
    gpus = {offer.gpu for offer in offers}
    named = entry.model_dump(exclude={"profile"}, exclude_none=True)
    levers = replace(PROFILES[entry.profile], **named)
    notes: list[str] = []
    while (found := kind.lever_problem(model, levers, gpus)) is not None:
        name, problem = found
        if name in named:
            raise ModelError(f"model {model.name}: performance.{name}: {problem}")
        before = getattr(levers, name)
        levers = replace(levers, **{name: _NEXT.get(name, {}).get(before, getattr(Levers(), name))})
        notes.append(
            f"model {model.name}: performance {entry.profile} goes without {name.replace('_', ' ')} {before}: {problem}"
        )
    return replace(model, levers=levers.pixel_fields(), options=model.options | levers.options()), tuple(notes)
