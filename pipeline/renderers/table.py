"""The table of renderers; a new renderer is one file and one line here, imported on use."""

import importlib
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import cast

from pipeline.errors import ModelError
from pipeline.ports import RendererKind

RENDERERS: Mapping[str, str] = MappingProxyType(
    {
        "diffusers": "pipeline.renderers.diffusion.kind:DiffusersKind",
        "synthetic": "pipeline.renderers.synthetic:SyntheticKind",
    }
)
"""Name -> `module:Class` of the renderer's kind."""


def renderer_kind(name: str) -> RendererKind:
    """The renderer of this name.

    Raises:
        ModelError: there is no renderer of this name.
    """
    place = RENDERERS.get(name)
    if place is None:
        near = get_close_matches(name, RENDERERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelError(f"there is no renderer {name!r}{hint} (there are {', '.join(sorted(RENDERERS))})")
    module, _, class_name = place.partition(":")
    return cast("RendererKind", getattr(importlib.import_module(module), class_name)())
