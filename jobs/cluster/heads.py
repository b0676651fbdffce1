"""What a cluster costs beside its GPU nodes: `configs/heads.yaml`, checked like a user's file."""

from decimal import Decimal
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from jobs.jobfile.values import Count, FilledText, UsdLimit
from jobs.jobfile.yaml_document import read_document
from jobs.prices.price_files import AsOf
from jobs.written import Written
from pipeline.errors import JobFileError

HOURS_PER_MONTH = 730
"""By which clouds turn a month into hours."""


class HeadType(Written):
    """A machine for the head."""

    type: FilledText
    provider: FilledText
    cpus: Count
    memory_gib: Count
    usd_per_hour: UsdLimit
    source: FilledText
    as_of: AsOf
    certain: bool = True


class Beside(Written):
    """What every node of a provider costs on top."""

    provider: FilledText
    usd_per_gib_month: UsdLimit
    usd_per_address_hour: UsdLimit
    source: FilledText
    as_of: AsOf

    def disk_usd_per_hour(self, gib: int) -> Decimal:
        """Of a disk, to the nano-dollar."""
        return (self.usd_per_gib_month * gib / HOURS_PER_MONTH).quantize(Decimal("1e-9"))


class Heads(Written):
    """The whole file."""

    heads: tuple[HeadType, ...]
    beside: tuple[Beside, ...]

    def head(self, provider: str, name: str = "") -> HeadType:
        """The head of this type, or the provider's first.

        Raises:
            JobFileError: there is none; with those that there are.
        """
        here = {row.type: row for row in self.heads if row.provider == provider}
        if (found := here.get(name) if name else next(iter(here.values()), None)) is None:
            raise JobFileError(f'head_type: no price of "{name}" is known; there are {", ".join(here)}')
        return found

    def extras(self, provider: str) -> Beside:
        """What nodes of this provider cost on top. Raises: StopIteration: it has no row."""
        return next(row for row in self.beside if row.provider == provider)


def read_heads() -> Heads:
    """The file that ships. Raises: JobFileError: it is damaged."""
    place = Path(str(files("configs"))) / "heads.yaml"
    document = read_document(place.read_bytes(), name=place.name)
    try:
        return Heads.model_validate(document.values)
    except ValidationError as error:
        first = error.errors()[0]
        raise JobFileError(f"{document.place(tuple(first['loc']))}: {first['msg']}; reinstall spotrender") from error
