"""The model profiles and node types that ship as data in `configs`."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from jobs.jobfile.model import Defaults, DistilledEntry
from jobs.jobfile.values import Count, FilledText, Precision, Side, Text, Usd
from jobs.jobfile.yaml_document import read_document
from jobs.written import Written
from pipeline.errors import JobFileError


class ModelProfile(Written):
    """A model by a short name."""

    name: FilledText
    renderer: FilledText = "diffusers"
    source: FilledText
    """A hub repository, or the name of a folder beside the profile."""
    licence: FilledText
    gated: bool = False
    """Whether the hub asks for a token and an accepted licence."""
    precision: Precision | None = None
    unit: Side | None = None
    """Width and height are multiples of this; only for the reader, the renderer reads it from the model."""
    batch_size: Count | None = None
    """Preferred device batch; None lets the worker choose."""
    defaults: Defaults = Defaults()
    distilled: DistilledEntry | None = None
    """What `performance: max` renders it with; None where nothing fit for that is known."""
    options: dict[str, Any] = Field(default_factory=dict)
    """For the renderer."""


class NodeType(Written):
    """One row of `configs/node_types.yaml`."""

    type: FilledText
    provider: FilledText
    region: Text = "us-east-1"
    """Where the price holds; empty: everywhere."""
    gpu: FilledText
    card: Text = ""
    """Its row in `configs/gpus.yaml`, where `gpu` alone does not tell it."""
    gpus: Count
    gpu_memory_mib: int
    bf16: bool = True
    """Whether the GPU has bf16 arithmetic."""
    on_demand_usd_per_hour: Usd
    spot_usd_per_hour: Usd | None = None
    interruption: Literal["<5", "5-10", "10-15", "15-20", ">20", ""] = ""
    """Percent of spot nodes of the type that are reclaimed in a month; empty: nobody told."""
    source: FilledText
    """Where the prices come from."""
    as_of: FilledText
    certain: bool = True
    note: Text = ""
    """What else was told of it, and does not agree."""


def profile_names() -> list[str]:
    """The names of all model profiles, sorted."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _models() if entry.name.endswith(".yaml"))


def read_profile(name: str) -> ModelProfile | None:
    """The profile of this name, its source an absolute folder where it ships with one; None when there is none.

    Raises:
        JobFileError: the shipped file is damaged.
    """
    if name not in profile_names():
        return None
    place = Path(str(files("configs"))) / "models" / f"{name}.yaml"
    profile: ModelProfile = _checked(TypeAdapter(ModelProfile), place)
    folder = place.parent / profile.source
    return profile.model_copy(update={"source": str(folder)}) if folder.is_dir() else profile


def node_types() -> dict[str, NodeType]:
    """All node types that ship, by name."""
    place = Path(str(files("configs"))) / "node_types.yaml"
    rows: list[NodeType] = _checked(TypeAdapter(list[NodeType]), place)
    return {row.type: row for row in rows}


def _models() -> Iterator[Path]:
    """What lies in the folder of models."""
    yield from (Path(str(files("configs"))) / "models").iterdir()


def _checked(adapter: TypeAdapter[Any], place: Path) -> Any:
    """A shipped file, read like a user's."""
    document = read_document(place.read_bytes(), name=place.name)
    try:
        return adapter.validate_python(document.values)
    except ValidationError as error:
        first = error.errors()[0]
        raise JobFileError(f"{document.place(tuple(first['loc']))}: {first['msg']}; reinstall spotrender") from error
