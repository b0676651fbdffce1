"""The performance profile of a job becomes levers of its models; what cannot be had is refused or said."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from jobs.jobfile.model import DistilledEntry, PerformanceEntry
from pipeline.distilled import Distilled, distilled_values
from pipeline.errors import ModelError
from pipeline.job import NodeOffer
from pipeline.model import Model
from pipeline.performance import PROFILES, Levers
from pipeline.renderers.diffusion.loras import resolve_lora
from pipeline.renderers.table import renderer_kind

_NEXT = {"quantization": {"fp8": "int8", "int8": "none", "int4": "none"}, "step_cache": {"mag": "none"}}
"""What a profile falls back to when a lever cannot be had."""


def with_performance(
    model: Model, entry: PerformanceEntry, offers: Sequence[NodeOffer], *, distilled: DistilledEntry | None = None
) -> tuple[Model, tuple[str, ...]]:
    """The model with its levers frozen in, and what of the profile had to be left out, for a person.

    Args:
        model: resolved.
        entry: as the user wrote it.
        offers: nodes that may render it.
        distilled: what the model's own profile names; an entry of the user's goes before it.

    Raises:
        ModelError: a lever that the user named cannot be had, with the alternatives.
    """
    kind = renderer_kind(model.renderer)
    gpus = {offer.gpu for offer in offers}
    named = entry.model_dump(exclude={"profile", "distilled", "distilled_lora"}, exclude_none=True)
    levers = replace(PROFILES[entry.profile], **named)
    model, levers, notes = _distilled(model, levers, entry, named, distilled)
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


def _distilled(
    model: Model,
    levers: Levers,
    entry: PerformanceEntry,
    named: Collection[str],
    known: DistilledEntry | None,
) -> tuple[Model, Levers, list[str]]:
    """The model with the LoRA that is to spare it steps, where one is known; and what there is to say of that.

    It takes the place of skipped steps and of guidance that ends, unless the user names those.

    Raises:
        ModelError: the user asks for one and none is known, or it cannot be used.
    """
    asked = entry.distilled == "on" or entry.distilled_lora is not None
    if entry.distilled == "off" or not (asked or levers.distilled == "on"):
        return model, replace(levers, distilled="off"), []
    chosen = entry.distilled_lora or known
    if chosen is None and asked:
        raise ModelError(
            f"model {model.name}: performance.distilled: no LoRA that needs fewer steps is known for it; name one: "
            "distilled_lora: {lora: ..., steps: 4, guidance_scale: 1.0, scheduler: lcm}"
        )
    if chosen is None or model.renderer != "diffusers":
        return model, replace(levers, distilled="off"), []
    try:
        lora = resolve_lora(chosen.lora, scale=chosen.scale)
    except ModelError as error:
        if asked:
            raise
        note = f"model {model.name}: performance {entry.profile} goes without a distilled LoRA: {error}"
        return model, replace(levers, distilled="off"), [note]
    made = Distilled(lora=lora, steps=chosen.steps, guidance_scale=chosen.guidance_scale, scheduler=chosen.scheduler)
    spared = {name: getattr(Levers(), name) for name in ("step_cache", "guidance_until") if name not in named}
    note = (
        f"model {model.name}: performance {entry.profile} renders {made.steps} steps at guidance "
        f"{made.guidance_scale:g} with {chosen.lora}, whatever rows and defaults say"
    )
    model = replace(
        model,
        distilled=distilled_values(made),
        steps=made.steps,
        guidance_scale=made.guidance_scale,
        scheduler=made.scheduler or model.scheduler,
    )
    return model, replace(levers, **spared), [note]
