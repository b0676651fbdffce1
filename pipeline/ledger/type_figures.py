"""What types of nodes were planned to do for a job, and what they did."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One type of node in one market, as the job was planned; frozen with its settings."""

    node_type: str
    market: str
    images_per_second: float
    """Of one worker while it renders."""
    usd_per_image: Decimal
    """Fully loaded."""
    low_usd: Decimal
    high_usd: Decimal
    """The interval of `usd_per_image`."""
    origin: str
    """`measured`, `pilot`, `published` or `estimated`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFigures:
    """One type of node in one market, over all drivers of a job."""

    node_type: str
    market: str
    nodes: int
    """Node sessions."""
    rendered: int
    usd: Decimal
    """Accrued by its node sessions."""
    planned_usd_per_image: Decimal | None = None
    """None: the job was not planned with it."""

    @property
    def usd_per_image(self) -> Decimal | None:
        """All spend over the images rendered; None without any."""
        return self.usd / self.rendered if self.rendered else None

    @property
    def error(self) -> Decimal | None:
        """By which share an image costs more than planned; None where either is not known."""
        took, planned = self.usd_per_image, self.planned_usd_per_image
        return took / planned - 1 if took is not None and planned else None


def expected_from_values(values: dict[str, Any]) -> Expected:
    """One of a settings file."""
    money = {name: Decimal(values[name]) for name in ("usd_per_image", "low_usd", "high_usd")}
    return Expected(**(values | money))


def figures_from_values(values: dict[str, Any]) -> TypeFigures:
    """One of a status."""
    planned = values.get("planned_usd_per_image")
    money = {"usd": Decimal(values["usd"]), "planned_usd_per_image": None if planned is None else Decimal(planned)}
    return TypeFigures(**(values | money))
