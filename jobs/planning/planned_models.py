"""Models as a plan needs them: resolved as at a submit, or by the catalogue where the hub does not answer."""

from collections.abc import Callable
from typing import Any

from jobs.profiles import read_profile
from jobs.wiring import resolve_model
from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.models import CatalogueModel
from pipeline.errors import ModelError
from pipeline.model import Model
from pipeline.ports import Store
from pipeline.renderers.diffusion.families import FAMILIES

Resolve = Callable[..., Model]
"""As `resolve_model`."""

_UNIT = 8
"""Pixels that every model of the catalogue divides its sides by; a stricter one is told at the submit."""


class PlannedModels:
    """Resolves models for a plan.

    Args:
        catalogue: knows models that are not here.
        store: that may have them.
    """

    def __init__(self, catalogue: Catalogue, store: Store) -> None:
        self._catalogue, self._store = catalogue, store
        self.notes: list[str] = []
        """What was said of models that could not be resolved."""

    def __call__(self, name: str, *, precision: str | None = None, batch_size: int | None = None, **more: Any) -> Model:
        """As `resolve_model`. Raises: ModelError: it cannot be resolved, and the catalogue does not know it."""
        try:
            return resolve_model(name, precision=precision, batch_size=batch_size, store=self._store, **more)
        except ModelError as error:
            profile = read_profile(name)
            known = self._catalogue.model(name) or (self._catalogue.model(profile.source) if profile else None)
            if known is None:
                names = ", ".join(sorted(self._catalogue.models))
                raise ModelError(
                    f"{error}; without that these can be planned, by what the catalogue says of them: {names}"
                ) from error
            self.notes.append(
                f"{error}. Planned by what the catalogue says of {known.name}; prompts were not checked against its "
                "text encoder, and images that the store has already are not seen"
            )
            return _as_the_catalogue_says(name, known, precision=precision, batch_size=batch_size)


def _as_the_catalogue_says(name: str, known: CatalogueModel, *, precision: str | None, batch_size: int | None) -> Model:
    """A model that nothing can be rendered with, as it has no revision."""
    return Model(
        name=name,
        renderer="diffusers",
        pixel_version=0,
        source=known.repo,
        revision="",
        pipeline_class=_pipeline_class(known.family),
        precision=precision or known.precision,
        unit=_UNIT,
        width=known.width,
        height=known.height,
        steps=known.steps,
        guidance_scale=known.guidance_scale,
        scheduler="",
        batch_size=batch_size,
    )


def _pipeline_class(family: str) -> str:
    """The first diffusers class of a family."""
    return next((name for one in FAMILIES if one.name == family for name in one.pipelines), "")
