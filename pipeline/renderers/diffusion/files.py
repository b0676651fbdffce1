"""The files of a diffusers model, wherever they lie: which of them make the model, and whether they are safe."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from pipeline.errors import ModelError

INDEX = "model_index.json"
"""The file that makes a folder a diffusers model."""

CONFIG_SUFFIXES = (".json", ".txt", ".model", ".jinja")
"""Configurations, vocabularies and sentencepiece models."""

PICKLED_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Formats that can run code when they are read."""

_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:-\d{5}-of-\d{5})?(?:\.(?P<variant>[\w-]+?))??"
    r"(?:-\d{5}-of-\d{5})?\.(?:safetensors|bin)"
)


class ModelFiles(Protocol):
    """The files of one immutable revision of a model."""

    @property
    def place(self) -> str:
        """Where they are, for messages."""

    def names(self) -> Sequence[str]:
        """All files, relative, with `/`."""

    def read(self, name: str) -> bytes:
        """One small file. Raises: ModelError."""


def read_json(files: ModelFiles, name: str) -> dict[str, Any]:
    """One JSON object; empty when there is no such file.

    Raises:
        ModelError: it is no JSON object.
    """
    if name not in files.names():
        return {}
    try:
        value = json.loads(files.read(name))
    except ValueError as error:
        raise ModelError(f"{files.place}: {name} is not valid JSON ({error}); fetch the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{files.place}: {name} should hold a JSON object; fetch the model again")
    return value


def components(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Component -> (library, class) of a `model_index.json`; absent ones are left out."""
    found = {}
    for name, entry in index.items():
        if not name.startswith("_") and isinstance(entry, list) and len(entry) == 2 and entry[1] is not None:
            found[name] = (str(entry[0]), str(entry[1]))
    return found


def select(files: ModelFiles, index: Mapping[str, Any], *, variant: str, pickled: bool, code: bool) -> list[str]:
    """The files that make the model: configurations, and one set of weights of each component, sorted.

    Args:
        files: where to look.
        index: the content of `model_index.json`.
        variant: which weights, such as `fp16`; empty for the plain ones.
        pickled: pickled weights are allowed where there are no others.
        code: Python files are allowed.

    Raises:
        ModelError: weights are missing, or exist only pickled or as another variant.
    """
    chosen = {INDEX}
    for component in components(index):
        inside = [name for name in files.names() if name.startswith(f"{component}/")]
        chosen |= {name for name in inside if name.endswith(CONFIG_SUFFIXES) or (code and name.endswith(".py"))}
        chosen |= set(_weights(files.place, component, inside, variant=variant, pickled=pickled))
    if code:
        chosen |= {name for name in files.names() if "/" not in name and name.endswith(".py")}
    return sorted(chosen)


def _weights(place: str, component: str, inside: Iterable[str], *, variant: str, pickled: bool) -> list[str]:
    """The weight files of one component; none for tokenizers and the like."""
    names = list(inside)
    safe = _by_variant(name for name in names if name.endswith(".safetensors"))
    unsafe = [name for name in names if name.endswith(PICKLED_SUFFIXES) and not name.endswith("training_args.bin")]
    if not safe:
        if unsafe and not pickled:
            raise ModelError(
                f"{place}: {unsafe[0]} holds pickled weights, which can run code when they are read; use a model with "
                "safetensors, convert it, or set the model option allow_pickle: true if you trust its author"
            )
        return unsafe
    found = safe.get(variant) or safe.get("")
    if found is None:
        raise ModelError(
            f"{place}: {component} has weights only as variant {', '.join(sorted(safe))}; set the model option variant"
        )
    return found


def _by_variant(names: Iterable[str]) -> dict[str, list[str]]:
    """Weight files of diffusers and transformers, by variant."""
    found: dict[str, list[str]] = {}
    for name in names:
        match = _WEIGHTS.fullmatch(name.rpartition("/")[2])
        if match:
            found.setdefault(match["variant"] or "", []).append(name)
    return found


def refuse_code(files: ModelFiles, index: Mapping[str, Any]) -> None:
    """Refuse a model that brings Python code of its own.

    Raises:
        ModelError: it has a pipeline or a component that is code, or a configuration that names some (`auto_map`).
    """
    if isinstance(index.get("_class_name"), list):
        raise _code_refused(files.place, f"{INDEX} names a pipeline of its own")
    inside = tuple(f"{component}/" for component in components(index))
    for name in files.names():
        if name.endswith(".py") and (name.startswith(inside) or name == "pipeline.py"):
            raise _code_refused(files.place, f"{name} is Python code")
        if name.endswith("config.json") and name.startswith(inside) and "auto_map" in read_json(files, name):
            raise _code_refused(files.place, f"{name} asks for Python code (auto_map)")


def _code_refused(place: str, why: str) -> ModelError:
    return ModelError(
        f"{place}: {why}; code of strangers is not run: use a model that needs none, or set the model option "
        "allow_remote_code: true if you trust its author"
    )
