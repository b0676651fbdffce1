"""The catalogue that ships: GPUs, models, what they take and what others claim, checked like a user's files."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from jobs.jobfile.values import Count, FilledText, Guidance, Precision, Side, Steps, Text, UsdLimit, shown
from jobs.jobfile.yaml_document import read_document
from jobs.nearest import did_you_mean
from jobs.prices.price_files import AsOf
from jobs.profiles import node_types
from jobs.written import Written
from pipeline.catalogue.catalogue import Catalogue, Offer, problems
from pipeline.catalogue.claims import Claim
from pipeline.catalogue.gpus import Gpu
from pipeline.catalogue.hosted import HostedPrice, ServerlessPrice
from pipeline.catalogue.models import CatalogueModel, Component, Point
from pipeline.errors import JobFileError


def _positive(value: Any) -> float:
    """A measure of something that is there."""
    try:
        number = float(value) if not isinstance(value, bool | str) else -1.0
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < 1e6:
        raise ValueError(f"must be a number above 0, got {shown(value)}")
    return number


Measure = Annotated[float, BeforeValidator(_positive)]

Row = TypeVar("Row", bound=Written)


class GpuRow(Written):
    """One row of `configs/gpus.yaml`."""

    name: FilledText
    aliases: tuple[FilledText, ...] = ()
    architecture: FilledText
    compute_capability: FilledText
    vram_gb: Count
    visible_gib: Measure
    bandwidth_gb_s: Count
    fp16_tflops: Measure
    bf16_tflops: Measure | None = None
    fp8_tflops: Measure | None = None
    tdp_watts: Count
    purchase_usd: UsdLimit | None = None
    year: Count
    source: FilledText
    as_of: AsOf
    certain: bool = True
    note: Text = ""


class ModelRow(Written):
    """One row of `configs/model_catalogue.yaml`."""

    name: FilledText
    repo: FilledText
    family: FilledText
    licence: FilledText
    gated: bool = False
    precision: Precision
    width: Side
    height: Side
    steps: Steps
    guidance_scale: Guidance
    rows_per_image: Literal[1, 2]
    scheduler: FilledText
    denoiser: FilledText
    decoder: FilledText
    text_encoders: tuple[FilledText, ...]
    others: tuple[FilledText, ...] = ()
    source: FilledText
    as_of: AsOf
    certain: bool = True
    note: Text = ""


class ClaimRow(Written):
    """One row of `configs/throughput.yaml`."""

    id: FilledText
    model: FilledText
    width: Side
    height: Side
    steps: Steps
    batch: Count
    precision: Literal["fp16", "bf16", "fp8", "int8"]
    engine: Literal["eager", "compiled", "tensorrt"]
    gpu: FilledText
    images_per_second: Measure
    source: FilledText
    as_of: AsOf
    used: bool = True
    contradicts: tuple[FilledText, ...] = ()
    note: Text = ""


class HostedRow(Written):
    """One row of `configs/hosted_prices.yaml`."""

    service: FilledText
    models: FilledText
    usd_per_image_low: UsdLimit
    usd_per_image_high: UsdLimit
    source: FilledText
    as_of: AsOf
    certain: bool = True
    note: Text = ""


def read_hosted_prices() -> list[HostedPrice]:
    """What services take for an image. Raises: JobFileError: the file that ships is damaged."""
    return [HostedPrice(**row.model_dump()) for row in rows(HostedRow, "hosted_prices.yaml")]


class ServerlessRow(Written):
    """One row of `configs/serverless_prices.yaml`."""

    service: FilledText
    card: FilledText
    usd_per_second: UsdLimit
    source: FilledText
    as_of: AsOf
    certain: bool = True
    note: Text = ""


def read_serverless_prices() -> list[ServerlessPrice]:
    """What services take for a GPU by the second. Raises: JobFileError: the file that ships is damaged."""
    return [ServerlessPrice(**row.model_dump()) for row in rows(ServerlessRow, "serverless_prices.yaml")]


def read_catalogue() -> Catalogue:
    """All of it. Raises: JobFileError: a file that ships is damaged, with its line or row."""
    gpus = rows(GpuRow, "gpus.yaml")
    models = rows(ModelRow, "model_catalogue.yaml")
    claims = rows(ClaimRow, "throughput.yaml")
    catalogue = Catalogue(
        gpus={row.name: Gpu(**row.model_dump()) for row in gpus},
        models={row.name: CatalogueModel(**row.model_dump()) for row in models},
        components=read_components(),
        claims=tuple(Claim(**row.model_dump()) for row in claims),
    )
    for problem in problems(catalogue):
        raise JobFileError(f"{problem}; reinstall spotrender")
    return catalogue


def rows(kind: type[Row], name: str, text: bytes | None = None) -> list[Row]:
    """The rows of a file of `configs`, or of `text` in its place. Raises: JobFileError: with the line."""
    document = read_document((configs() / name).read_bytes() if text is None else text, name=name)
    try:
        return TypeAdapter(list[kind]).validate_python(document.values)  # type: ignore[valid-type]
    except ValidationError as error:
        first = error.errors()[0]
        way = tuple(first["loc"])
        key = f"{way[-1]}: " if way and isinstance(way[-1], str) else ""
        message = first["msg"].removeprefix("Value error, ")
        raise JobFileError(f"{document.place(way)}: {key}{message}; reinstall spotrender") from error


def read_components() -> dict[str, Component]:
    """The parts of the models, as counted, by name. Raises: JobFileError: the counts are damaged."""
    folder = configs() / "models" / "architectures"
    counted = json.loads((configs() / "model_counts.json").read_bytes())["components"]
    found = {}
    for path in sorted(folder.glob("*.json")):
        if path.stem not in counted:
            raise JobFileError(f"{path.name}: is not counted; run python -m pipeline.renderers.dry_run")
        found[path.stem] = component(path.stem, json.loads(path.read_bytes()), counted[path.stem])
    return found


def component(name: str, written: dict[str, Any], counts: dict[str, Any]) -> Component:
    """One part of a model.

    Args:
        name: of the file.
        written: its content: class, configuration and where they come from.
        counts: of `pipeline.renderers.dry_run`.
    """
    return Component(
        name=name,
        parameters=counts["parameters"],
        linear_parameters=counts.get("linear_parameters", 0),
        embedding_parameters=counts.get("embedding_parameters", 0),
        tokens=written.get("text_tokens", 0),
        force_upcast=bool(written.get("config", {}).get("force_upcast", False)),
        tile_side=_tile_side(written.get("config", {})),
        certain=written.get("certain", True),
        published_parameters=written.get("published_parameters"),
        points=tuple(
            Point(
                pixels=point["width"] * point["height"],
                flops=point["flops"],
                row_bytes=point["bytes"],
                further_row_bytes=point["bytes_per_further_row"],
            )
            for point in counts.get("points", ())
        ),
    )


def _tile_side(config: Mapping[str, Any]) -> int:
    """The side of a decoder's tiles, as diffusers derives it from the configuration; 512 where it does not say."""
    side = config.get("sample_size", 512)
    return side if isinstance(side, int) and side >= 8 else 512


def configs() -> Path:
    """The folder of what ships as data."""
    return Path(str(files("configs")))


def read_offers(catalogue: Catalogue) -> dict[str, Offer]:
    """Every type of node that can be rented, with its GPU in the catalogue."""
    found = {}
    for row in node_types().values():
        card = catalogue.gpu(row.card or row.gpu)
        found[row.type] = Offer(
            type=row.type,
            provider=row.provider,
            card=card.name if card else "",
            gpus=row.gpus,
            interruption=row.interruption,
        )
    return found


def known_gpu(catalogue: Catalogue, name: str) -> Gpu:
    """The GPU of this name. Raises: JobFileError: there is none, with the nearest."""
    found = catalogue.gpu(name)
    if found is None:
        names = [one for gpu in catalogue.gpus.values() for one in (gpu.name, *gpu.aliases)]
        near = did_you_mean(name, names) or f"; known are {', '.join(sorted(catalogue.gpus))}"
        raise JobFileError(f'gpu: there is no GPU "{name}" in the catalogue{near}')
    return found


def known_model(catalogue: Catalogue, name: str) -> CatalogueModel:
    """The model of this name or repository. Raises: JobFileError: there is none, with the nearest."""
    found = catalogue.model(name)
    if found is None:
        names = [one for model in catalogue.models.values() for one in (model.name, model.repo)]
        near = did_you_mean(name, names) or f"; known are {', '.join(sorted(catalogue.models))}"
        hub = " (a private or gated repository is not looked at: give the folder that holds it)" if "/" in name else ""
        raise JobFileError(f'model: there is no model "{name}" in the catalogue{near}{hub}')
    return found
