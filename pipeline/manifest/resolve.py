"""What a row leaves open is filled in: the row's own value, then the job's defaults, then the model's."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from pipeline.distilled import distilled_of
from pipeline.errors import JobFileError, ModelError
from pipeline.manifest.problems import FieldError, Problems, shown
from pipeline.manifest.row import FIELDS, LoraChoice, Row
from pipeline.model import Model
from pipeline.request import MAX_SEED, Lora, Variant

MAX_IMAGES_PER_PROMPT = 10_000
"""Images of one row."""

MAX_VARIANTS = 20_000
"""Distinct sets of model, size, steps, guidance, scheduler and LoRAs in one manifest; each is its own tasks."""

_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a job says for the rows that leave it open; None leaves it to the model."""

    model: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    loras: tuple[LoraChoice, ...] = ()
    negative_prompt: str = ""
    seed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    """A row's own tags come on top of them."""


_Value = TypeVar("_Value")


class Resolved(NamedTuple):
    """What a row becomes, its words apart."""

    ordinal: int
    """Place of the variant in `Resolver.variants`."""
    variant: Variant
    negative_prompt: str
    seed: int
    """Of the row's first image; the others follow it."""
    tags: Mapping[str, str]
    """Sorted by name."""


def defaults_of(values: Mapping[str, object], *, per_run_seed: int | None = None, place: str = "defaults") -> Defaults:
    """Check the `defaults` of a job file, by the rules of a row.

    Args:
        values: field name -> value; None leaves a field open.
        per_run_seed: what `seed: per_run` stands for in this run; None where there is no run.
        place: stands before each message.

    Raises:
        JobFileError: every problem, a line each.
    """
    typed: dict[str, object] = {}
    wrong: list[str] = []
    for name, value in values.items():
        if name not in Defaults.__dataclass_fields__:
            wrong.append(f"{place}: {shown(name)} can have no default; known are {', '.join(Defaults.__slots__)}")
        elif name == "seed" and value == "per_run" and per_run_seed is not None:
            typed[name] = per_run_seed
        elif value is not None:
            try:
                typed[name] = FIELDS[name](value)
            except FieldError as error:
                wrong.append(f"{place}: {name} {error}")
    if wrong:
        raise JobFileError("\n".join(wrong))
    return Defaults(**typed)  # type: ignore[arg-type]


class Resolver:
    """Gives every row its variant, seed and negative prompt.

    Args:
        models: name -> model, for every name that rows may use.
        model: the job's model, for rows and defaults that name none; a key of `models`.
        defaults: the job's defaults.
        images_per_prompt: images of each row: seeds seed, seed + 1, ...
        problem: why a model cannot render a variant, or None; asked once per variant.
        lora: what a LoRA's source and scale stand for; raises ModelError for one that is unknown or unsafe.

    Raises:
        JobFileError: `images_per_prompt` is out of range, or the job's model is not among `models`.
    """

    def __init__(
        self,
        *,
        models: Mapping[str, Model],
        model: str,
        defaults: Defaults,
        problem: Callable[[Model, Variant], str | None],
        lora: Callable[[str, float], Lora],
        images_per_prompt: int = 1,
    ) -> None:
        if not 1 <= images_per_prompt <= MAX_IMAGES_PER_PROMPT:
            raise JobFileError(f"images_per_prompt must be from 1 to {MAX_IMAGES_PER_PROMPT}, got {images_per_prompt}")
        if (defaults.model or model) not in models:
            raise JobFileError(f"model {shown(defaults.model or model)} is not among the job's models")
        self.images_per_prompt = images_per_prompt
        self.variants: list[Variant] = []
        self.models: list[Model] = []
        """The model of each of `variants`."""
        self._models = models
        self._model = defaults.model or model
        self._defaults = defaults
        self._problem = problem
        self._lora = lora
        self._by_fields: dict[tuple[object, ...], int] = {}
        self._ordinals: dict[tuple[str, Variant], int] = {}
        self._refused: dict[tuple[str, Variant], str] = {}
        self._loras: dict[LoraChoice, Lora | str] = {}

    def resolve(self, row: Row, problems: Problems) -> Resolved | None:
        """The row with nothing left open, or None when a problem was reported."""
        defaults = self._defaults
        seed = defaults.seed if row.seed is None else row.seed
        last = seed + self.images_per_prompt - 1
        if last > MAX_SEED:
            problems.add(
                row.line,
                f"seed {seed} with images_per_prompt {self.images_per_prompt} runs up to {last}, beyond {MAX_SEED}; "
                f"start at {MAX_SEED - self.images_per_prompt + 1} or lower",
            )
        ordinal = self._by_fields.get(row.choices())
        if ordinal is None:
            try:
                ordinal = self._new(row)
            except FieldError as error:
                problems.add(row.line, str(error))
                return None
        if last > MAX_SEED:
            return None
        negative = defaults.negative_prompt if row.negative_prompt is None else row.negative_prompt
        if negative and not self.models[ordinal].takes_negative_prompt:
            problems.add(row.line, f"negative_prompt has no effect on model {self.models[ordinal].name}; leave it out")
            return None
        return Resolved(ordinal, self.variants[ordinal], negative, seed, self._tags(row.tags))

    def _tags(self, tags: Mapping[str, str]) -> Mapping[str, str]:
        """The job's tags under the row's."""
        common = self._defaults.tags
        return tags if not common else dict(sorted({**common, **tags}.items()))

    def _new(self, row: Row) -> int:
        """The ordinal of a set of fields that was not seen before (or not lately). Raises: FieldError."""
        model = self._model_of(row)
        variant = self._variant(model, row)
        key = (model.name, variant)
        ordinal = self._ordinals.get(key)
        if ordinal is None:
            self._check(model, variant)
            if len(self.variants) == MAX_VARIANTS:
                raise FieldError(
                    f"the manifest has more than {MAX_VARIANTS:,} different sets of model, size, steps, guidance, "
                    "scheduler and loras; split it"
                )
            ordinal = self._ordinals[key] = len(self.variants)
            self.variants.append(variant)
            self.models.append(model)
        if len(self._by_fields) >= 2 * MAX_VARIANTS:
            self._by_fields.clear()
        self._by_fields[row.choices()] = ordinal
        return ordinal

    def _model_of(self, row: Row) -> Model:
        name = self._model if row.model is None else row.model
        model = self._models.get(name)
        if model is None:
            near = difflib.get_close_matches(name[:64], list(self._models), n=1, cutoff=0.0)
            raise FieldError(f"model {shown(name)} is not known here; the nearest is {shown(near[0])}")
        return model

    def _variant(self, model: Model, row: Row) -> Variant:
        """The row's fields over the job's over the model's; what a distilled model is made for goes before all."""
        distilled = distilled_of(model)
        loras = self._defaults.loras if row.loras is None else row.loras
        variant = self._plain_variant(model, row, tuple(self._lora_of(choice) for choice in loras))
        if distilled is None:
            return variant
        return replace(
            variant,
            steps=distilled.steps,
            guidance_scale=distilled.guidance_scale,
            scheduler=distilled.scheduler,
            loras=(distilled.lora, *variant.loras),
        )

    def _plain_variant(self, model: Model, row: Row, loras: tuple[Lora, ...]) -> Variant:
        """Of a model that is as it was trained."""
        defaults = self._defaults
        return Variant(
            model=model.revision,
            renderer=model.renderer,
            pixel_version=model.pixel_version,
            precision=model.precision,
            width=_first(row.width, defaults.width, model.width),
            height=_first(row.height, defaults.height, model.height),
            steps=_first(row.steps, defaults.steps, model.steps),
            guidance_scale=float(_first(row.guidance_scale, defaults.guidance_scale, model.guidance_scale)),
            scheduler=_first(row.scheduler, defaults.scheduler, model.scheduler),
            loras=loras,
            **model.levers,
        )

    def _lora_of(self, choice: LoraChoice) -> Lora:
        """The LoRA of a choice; each is looked up once. Raises: FieldError."""
        if choice not in self._loras:
            if len(self._loras) >= _KEPT:
                self._loras.clear()
            try:
                self._loras[choice] = self._lora(choice.source, choice.scale)
            except ModelError as error:
                self._loras[choice] = str(error)
        found = self._loras[choice]
        if isinstance(found, str):
            raise FieldError(f"loras: {found}")
        return found

    def _check(self, model: Model, variant: Variant) -> None:
        """What the model allows. Raises: FieldError."""
        for name, pixels in (("width", variant.width), ("height", variant.height)):
            if pixels % model.unit:
                below = pixels - pixels % model.unit
                either = f"{below} or {below + model.unit}" if below else f"{model.unit}"
                raise FieldError(
                    f"{name} must be a multiple of {model.unit} for model {shown(model.name)}, "
                    f"got {pixels}: write {either}"
                )
        if variant.width * variant.height > model.max_pixels:
            raise FieldError(
                f"width x height must be at most {model.max_pixels:,} pixels for model {shown(model.name)}, "
                f"got {variant.width} x {variant.height}; make the image smaller"
            )
        key = (model.name, variant)
        if key not in self._refused:
            if len(self._refused) >= _KEPT:
                self._refused.clear()
            self._refused[key] = self._problem(model, variant) or ""
        if self._refused[key]:
            raise FieldError(self._refused[key])


def _first(row: _Value | None, job: _Value | None, model: _Value) -> _Value:
    """The value that counts."""
    if row is not None:
        return row
    return model if job is None else job
