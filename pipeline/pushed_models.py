"""Which models a store holds, and which of them a job means."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import ModelError, NotFoundError
from pipeline.layout import MODEL_BLOBS, MODELS, model_manifests_folder
from pipeline.model import Model
from pipeline.ports import Store
from pipeline.weights import Weights, from_json, manifest_key, slug


def read_weights(store: Store, key: str) -> Weights:
    """One manifest. Raises: NotFoundError; ModelError: it is damaged, or lies where it does not belong."""
    weights = from_json(store.get(key), place=f"{store.uri}/{key}")
    if weights.key != key:
        raise ModelError(f"{store.uri}/{key}: is the manifest of {weights.key}; remove it")
    return weights


def list_weights(store: Store) -> Iterator[Weights]:
    """All manifests of a store. Raises: ModelError: one is damaged."""
    for folder in store.list_folders(MODELS):
        if folder != MODEL_BLOBS.removeprefix(MODELS):
            for found in store.list(f"{MODELS}{folder}"):
                with suppress(NotFoundError):
                    yield read_weights(store, found.key)


def find_weights(store: Store, name: str, options: Mapping[str, Any]) -> Weights | None:
    """What was pushed last of a model, with the revision and the variant that are asked for; None: nothing.

    Args:
        store: where to look.
        name: a hub repository, or the name that a folder was pushed under.
        options: of the job, or of the model's profile.

    Raises:
        ModelError: a manifest of it is damaged.
    """
    asked, variant = str(options.get("revision") or "main"), str(options.get("variant") or "")
    found = []
    for one in _of_name(store, name):
        commit = one.revision.rpartition("@")[2]
        by_folder = not one.asked and asked == "main"
        if one.name == name and one.variant == variant and (by_folder or asked in {one.asked, commit}):
            found.append(one)
    return max(found, key=lambda one: one.pushed_at, default=None)


def weights_of_folder(store: Store, name: str, model: Model) -> dict[str, str]:
    """Where the store has the very files that a folder was frozen with; empty where it has not.

    Args:
        store: where to look.
        name: that the folder is pushed under.
        model: frozen from the folder.

    Raises:
        ModelError: the manifest is damaged.
    """
    revision = model.revision.partition("#")[0]
    code = model.options.get("allow_remote_code") == "true"
    for has_code in {code, False}:
        with suppress(NotFoundError):
            return read_weights(store, manifest_key(name, revision, code=has_code)).frozen
    return {}


def folder_name(source: str, *, profile: str = "") -> str:
    """The name that a folder is pushed under, where none is given."""
    return profile or Path(source).expanduser().resolve().name


def _of_name(store: Store, name: str) -> Iterator[Weights]:
    """The manifests under one name. Raises: ModelError."""
    try:
        folder = model_manifests_folder(slug(name))
    except ModelError:
        return
    for found in store.list(folder):
        with suppress(NotFoundError):
            yield read_weights(store, found.key)
