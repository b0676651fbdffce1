"""What of a diffusers model has to be copied so that it can be rendered with: found, checked, fetched by file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError
from pipeline.renderers.diffusion.files import PICKLED_SUFFIXES, ModelFiles
from pipeline.renderers.diffusion.folder import FolderFiles
from pipeline.renderers.diffusion.hub import REPOSITORY, HubFiles
from pipeline.renderers.diffusion.options import parse_options
from pipeline.renderers.diffusion.resolving import checked_description, chosen_files, kept_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One model, checked like at a submit."""

    source: str
    """Hub repository, or the folder's name."""
    revision: str
    """`hub:<repo>@<commit>`; empty for a folder, whose revision follows from its content."""
    asked: str
    """Branch, tag or commit that was asked for; empty for a folder."""
    variant: str
    names: tuple[str, ...]
    """The files that make the model, sorted."""
    pickled: bool
    code: bool
    fetch: Callable[[str], Path]
    """Gives a file of it on this machine; raises ModelError."""


def gather(source: str, values: Mapping[str, Any]) -> Gathered:
    """Find the files of a folder or a hub repository; of the hub, only configurations are fetched yet.

    Args:
        source: where it is.
        values: options as a job has them.

    Raises:
        ModelError: unknown, unsafe or unusable; the message says what to do.
    """
    options = parse_options(source, values)
    found: dict[str, Any]
    folder = Path(source).expanduser()
    if folder.is_dir():
        folder = folder.resolve()
        inside: ModelFiles = FolderFiles(folder)
        found = {"source": folder.name, "revision": "", "asked": "", "fetch": folder.joinpath}
    elif folder.is_file():
        raise ModelError(f"{source}: a single file is not pushed; save it as a diffusers folder first")
    elif REPOSITORY.fullmatch(source):
        hub = inside = HubFiles(source, options.revision)
        revision = f"hub:{source}@{hub.commit}"
        found = {"source": source, "revision": revision, "asked": options.revision, "fetch": hub.fetch}
    else:
        raise ModelError(f"{source}: no such folder, and no hub repository (org/name); mend the model's source")
    description = checked_description(inside, options)
    names = tuple(chosen_files(inside, description.index, kept_options(options)))
    if isinstance(inside, HubFiles):
        inside.require(names)
    return Gathered(
        variant=options.variant,
        names=names,
        pickled=any(name.endswith(PICKLED_SUFFIXES) for name in names),
        code=any(name.endswith(".py") for name in names),
        **found,
    )
