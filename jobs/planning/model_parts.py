"""What a model is made of: from the catalogue, or from the files of a folder."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.planning.catalogue import component, configs, known_model
from jobs.planning.safetensors_header import count_numbers
from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.models import Component
from pipeline.errors import ModelError
from pipeline.estimates.memory import Parts
from pipeline.renderers.diffusion.families import OTHER, family_of
from pipeline.renderers.diffusion.files import INDEX, components, read_json, select
from pipeline.renderers.diffusion.folder import FolderFiles

_TOKENS = {"sd": 77, "sdxl": 77, "sd3": 333, "flux": 512, "pixart": 300}
"""Length of the text that the denoiser reads, by family."""


def catalogue_parts(catalogue: Catalogue, name: str) -> Parts:
    """A model of the catalogue; weights of one that ships are read from its files.

    Raises:
        JobFileError: there is no such model, with the nearest.
    """
    model = known_model(catalogue, name)
    parts = Parts(
        name=model.name,
        family=model.family,
        rows_per_image=model.rows_per_image,
        denoiser=catalogue.components[model.denoiser],
        decoder=catalogue.components[model.decoder],
        text_encoders=tuple(catalogue.components[one] for one in model.text_encoders),
        others=tuple(catalogue.components[one] for one in model.others),
    )
    folder = configs() / "models" / model.repo
    return _with_real_weights(parts, FolderFiles(folder)) if "/" not in model.repo and folder.is_dir() else parts


def _with_real_weights(parts: Parts, files: FolderFiles) -> Parts:
    """The same model, whose weights are what its files hold."""
    found = weights(files)
    text = [name for name in sorted(found) if name.startswith("text_encoder")]
    return replace(
        parts,
        denoiser=replace(parts.denoiser, parameters=found["unet"]),
        decoder=replace(parts.decoder, parameters=found["vae"]),
        text_encoders=tuple(
            replace(part, parameters=found[name]) for part, name in zip(parts.text_encoders, text, strict=True)
        ),
    )


def weights(files: FolderFiles) -> dict[str, int]:
    """Numbers in the weights of each component. Raises: ModelError: weights are missing, pickled or damaged."""
    index = read_json(files, INDEX)
    chosen = select(files, index, variant="", pickled=False, code=False)
    found: dict[str, int] = {}
    for name in chosen:
        if name.endswith(".safetensors"):
            part = name.partition("/")[0]
            found[part] = found.get(part, 0) + count_numbers(Path(files.place) / name)
    return found


def folder_parts(folder: Path, *, width: int, height: int) -> Parts:
    """A diffusers model in a folder: weights from the headers of its files, memory from a dry run at this size.

    Raises:
        ModelError: the folder holds no diffusers model, or one that we cannot run.
    """
    files = FolderFiles(folder)
    index = read_json(files, INDEX)
    if not index:
        raise ModelError(f"{folder}: holds no {INDEX}; give a folder that diffusers saved")
    family, numbers = family_of(str(index.get("_class_name"))), weights(files)
    if family is OTHER:
        raise ModelError(
            f"{folder}: a pipeline of class {index.get('_class_name')} is known only by its call, so what it needs "
            "cannot be told before it is rendered; rehearse a small job on the card"
        )
    per_latent = _pixels_per_latent(read_json(files, "vae/config.json"))
    for side in (width, height):
        if side % (per_latent * family.packing):
            raise ModelError(f"size: {width}x{height} must be multiples of {per_latent * family.packing}")
    shape = {"sizes": [(width, height)], "pixels_per_latent": per_latent}
    tokens = _TOKENS[family.name]
    rest = [
        Component(name=name, parameters=count)
        for name, count in numbers.items()
        if name not in {family.backbone, "vae"}
    ]
    return Parts(
        name=folder.name,
        family=family.name,
        rows_per_image=2 if family.negative_prompt else 1,
        denoiser=_dry_run(files, index, family.backbone, numbers, tokens=tokens, **shape),
        decoder=_dry_run(files, index, "vae", numbers, tokens=0, **shape),
        text_encoders=tuple(one for one in rest if one.name.startswith("text_encoder")),
        others=tuple(one for one in rest if not one.name.startswith("text_encoder")),
    )


def _dry_run(
    files: FolderFiles, index: Mapping[str, Any], name: str, numbers: Mapping[str, int], *, tokens: int, **shape: Any
) -> Component:
    """One component, run without numbers; loads torch."""
    from pipeline.renderers.dry_run.counting import count_component

    config = read_json(files, f"{name}/config.json")
    kind = components(index).get(name, ("", "nothing"))[1]
    counts = count_component(kind, config, tokens=tokens, **shape)
    counts = {**counts, "parameters": numbers.get(name, counts["parameters"])}
    return component(name, {"config": config, "text_tokens": tokens}, json.loads(json.dumps(counts)))


def _pixels_per_latent(vae: Mapping[str, Any]) -> int:
    """Pixels on each side for a latent pixel; 8 where the configuration does not say."""
    blocks = vae.get("block_out_channels")
    return 2 ** (len(blocks) - 1) if isinstance(blocks, list) and 1 <= len(blocks) <= 8 else 8
