"""A distilled model: a LoRA with which a few steps do what many did, and the steps and guidance it was made for."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline.request import Lora

if TYPE_CHECKING:
    from pipeline.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """What every request of such a model has, whatever its row says; all of it is in the image id."""

    lora: Lora
    """Comes before a row's own; merged into the weights when they are loaded, so that no step pays for it."""
    steps: int
    guidance_scale: float
    scheduler: str
    """Name of one; empty for the model's own."""


def distilled_of(model: "Model") -> Distilled | None:
    """What a frozen model was distilled with; None for nearly all."""
    values = model.distilled
    return Distilled(**(values | {"lora": Lora(**values["lora"])})) if values else None


def distilled_values(distilled: Distilled) -> dict[str, Any]:
    """As `Model.distilled` holds it."""
    return asdict(distilled)
