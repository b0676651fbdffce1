"""From what the user wrote to a frozen model: immutable revision, limits, defaults. Reads JSON, loads no weights."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.model import Model
from pipeline.renderers.diffusion.describing import Description, describe, facts
from pipeline.renderers.diffusion.files import ModelFiles, refuse_code, select
from pipeline.renderers.diffusion.folder import FolderFiles, content_revision
from pipeline.renderers.diffusion.hub import REPOSITORY, HubFiles
from pipeline.renderers.diffusion.options import Options, parse_options
from pipeline.renderers.diffusion.schedulers import own_scheduler_problem, scheduler_problem
from pipeline.renderers.diffusion.stored import StoredFiles
from pipeline.weights import unsafe_problem

PIXEL_VERSION = 1
"""Raised whenever this renderer makes other pixels from the same request."""

_SINGLE_FILE = (".safetensors", ".ckpt", ".bin", ".pt", ".pth")


def resolve_model(source: str, values: Mapping[str, Any]) -> Model:
    """Freeze a folder, a single file or a hub repository.

    Raises:
        ModelError: unknown, unsafe or unusable; the message says what to do.
    """
    options = parse_options(source, values)
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder(source, path.resolve(), options)
    if path.is_file() or path.suffix in _SINGLE_FILE:
        return _single_file(source, path.resolve(), options)
    if REPOSITORY.fullmatch(source):
        return _repository(source, options)
    raise ModelError(f"{source}: no such folder or file, and no hub repository (org/name); mend the model's source")


def resolve_stored(source: str, values: Mapping[str, Any], files: StoredFiles) -> Model:
    """Freeze what was pushed of a model into the store.

    Args:
        source: where it came from, for messages.
        values: options as the user gave them.
        files: in the store.

    Raises:
        ModelError: unsafe or unusable, or its files are gone.
    """
    options = parse_options(source, values)
    weights, kept = files.weights, kept_options(options)
    if problem := unsafe_problem(weights, kept):
        raise ModelError(problem)
    description = checked_description(files, options)
    chosen_files(files, description.index, kept)
    variant = options.variant if weights.revision.startswith("hub:") else ""
    revision = weights.revision + _suffix(options, variant=variant)
    model = _model(source, weights.source, revision, description=description, options=options, kept=kept)
    return replace(model, weights=weights.frozen)


def chosen_files(files: ModelFiles, index: Mapping[str, Any], options: Mapping[str, str]) -> list[str]:
    """The files of a frozen model with these options. Raises: ModelError."""
    return select(
        files,
        index,
        variant=options.get("variant", ""),
        pickled=options.get("allow_pickle") == "true",
        code=options.get("allow_remote_code") == "true",
    )


def _folder(source: str, folder: Path, options: Options) -> Model:
    files = FolderFiles(folder)
    description = checked_description(files, options)
    names = chosen_files(files, description.index, kept_options(options))
    revision = content_revision([(name, folder / name) for name in names]) + _suffix(options, variant="")
    return _model(source, str(folder), revision, description=description, options=options, kept=kept_options(options))


def _repository(source: str, options: Options) -> Model:
    files = HubFiles(source, options.revision)
    description = checked_description(files, options)
    chosen_files(files, description.index, kept_options(options))
    revision = f"hub:{source}@{files.commit}{_suffix(options, variant=options.variant)}"
    return _model(source, source, revision, description=description, options=options, kept=kept_options(options))


def _single_file(source: str, path: Path, options: Options) -> Model:
    if not path.is_file():
        raise ModelError(f"{source}: no such file; mend the model's source")
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{source}: a single-file model must be safetensors; convert it, others can run code when read"
        )
    folder = Path(options.config or "").expanduser().resolve()
    if options.config is None or not folder.is_dir():
        raise ModelError(
            f"{source}: a single file holds weights alone; set the model option config to a diffusers folder with the "
            "configurations and tokenizers that belong to it (models that the file lacks are loaded from there too)"
        )
    files = FolderFiles(folder)
    description = checked_description(files, options)
    kept = kept_options(options) | {"config": str(folder)}
    names = chosen_files(files, description.index, kept)
    revision = content_revision([("weights", path), *((f"config/{name}", folder / name) for name in names)])
    revision += _suffix(options, variant="")
    return _model(source, str(path), revision, description=description, options=options, kept=kept)


def _suffix(options: Options, *, variant: str) -> str:
    """What beside the files decides pixels, to be appended to their revision."""
    parts = [part for part in (variant, options.pipeline) if part]
    return "".join(f"#{part}" for part in parts)


def checked_description(files: ModelFiles, options: Options) -> Description:
    """The description of a model that is safe to load."""
    description = describe(files, pipeline=options.pipeline)
    if not options.allow_remote_code:
        refuse_code(files, description.index)
    return description


def kept_options(options: Options) -> dict[str, str]:
    """The options that a worker needs to load the model."""
    kept = {"variant": options.variant, "pipeline": options.pipeline or ""}
    kept |= {name: "true" for name in ("allow_pickle", "allow_remote_code") if getattr(options, name)}
    return {name: value for name, value in kept.items() if value}


def _model(
    source: str, location: str, revision: str, *, description: Description, options: Options, kept: dict[str, str]
) -> Model:
    family = description.family
    guidance = family.guidance_scale if description.guided else 0.0
    model = Model(
        name=options.name or source,
        renderer="diffusers",
        pixel_version=PIXEL_VERSION,
        source=location,
        revision=revision,
        pipeline_class=description.pipeline_class,
        precision=options.precision,
        unit=description.unit,
        width=options.width or description.width,
        height=options.height or description.height,
        steps=options.steps or (family.steps if description.guided else 4),
        guidance_scale=guidance if options.guidance_scale is None else options.guidance_scale,
        scheduler=options.scheduler,
        max_prompt_tokens=description.max_prompt_tokens,
        takes_negative_prompt=family.negative_prompt,
        batch_size=options.batch_size,
        options=kept | facts(description),
    )
    _check_scheduler(model, description)
    for name, value in (("width", model.width), ("height", model.height)):
        if value % model.unit:
            raise ModelError(f"{source}: default {name} {value} is no multiple of {model.unit}; set another {name}")
    return model


def _check_scheduler(model: Model, description: Description) -> None:
    """Refuse a default scheduler with which no image would be determined."""
    if model.scheduler:
        problem = scheduler_problem(description.family, model.options, model.scheduler)
    else:
        problem = own_scheduler_problem(description.family, description.scheduler_class, description.scheduler_config)
    if problem:
        raise ModelError(f"{model.name}: {problem}")
