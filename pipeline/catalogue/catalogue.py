"""All that is known, with look-ups that name the nearest when there is none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.catalogue.claims import Claim
from pipeline.catalogue.gpus import Gpu
from pipeline.catalogue.models import CatalogueModel, Component


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A type of node that can be rented, or stands here: one row of `configs/node_types.yaml`."""

    type: str
    provider: str
    card: str
    """Name of its GPU in the catalogue; empty where the catalogue has none."""
    gpus: int
    interruption: str = ""
    """Percent of spot nodes reclaimed in a month: `<5`, `5-10`, `10-15`, `15-20`, `>20`; empty: nobody told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """GPUs, models, their components and claims, each by name."""

    gpus: Mapping[str, Gpu]
    models: Mapping[str, CatalogueModel]
    components: Mapping[str, Component]
    claims: tuple[Claim, ...]

    def gpu(self, name: str) -> Gpu | None:
        """The GPU of this name or alias, however it is written; None when there is none."""
        wanted = plain(name)
        return next(
            (gpu for gpu in self.gpus.values() if wanted in {plain(one) for one in (gpu.name, *gpu.aliases)}), None
        )

    def model(self, name: str) -> CatalogueModel | None:
        """The model of this name or repository; None when there is none."""
        return next((model for model in self.models.values() if name in {model.name, model.repo}), None)


def plain(name: str) -> str:
    """A card's name for comparison: `NVIDIA GeForce RTX 4090` and `rtx-4090` are one."""
    words = name.replace("-", " ").replace("_", " ").lower().split()
    return " ".join(word for word in words if word not in {"nvidia", "geforce", "tesla", "rtx"})


def problems(catalogue: Catalogue) -> Iterable[str]:
    """What does not hold together: a row that names what is nowhere, or a claim that contradicts nobody back."""
    for model in catalogue.models.values():
        for part in (model.denoiser, model.decoder, *model.text_encoders, *model.others):
            if part not in catalogue.components:
                yield f"model {model.name}: {part} is not counted; run python -m pipeline.renderers.dry_run"
    known = {claim.id: claim for claim in catalogue.claims}
    for claim in catalogue.claims:
        if claim.model not in catalogue.models:
            yield f"claim {claim.id}: there is no model {claim.model}"
        if claim.gpu not in catalogue.gpus:
            yield f"claim {claim.id}: there is no GPU {claim.gpu}"
        if not claim.used and not claim.note and not claim.contradicts:
            yield f"claim {claim.id}: is not used and does not say why"
        for other in claim.contradicts:
            if other not in known:
                yield f"claim {claim.id}: contradicts {other}, which is nowhere"
