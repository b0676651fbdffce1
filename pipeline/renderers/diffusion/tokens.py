"""How many tokens a prompt has, told by the model's own tokenizer; loads no weights."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.model import Model
from pipeline.renderers.diffusion.families import family_of
from pipeline.renderers.diffusion.files import INDEX, components, read_json
from pipeline.renderers.diffusion.folder import FolderFiles
from pipeline.renderers.diffusion.hub import HubFiles

_LONGEST_SIGHTED = {"sd3": "tokenizer_3", "flux": "tokenizer_2"}
"""Which component reads the most of a prompt, where it is not `tokenizer`."""

_HUB = re.compile(r"hub:(?P<repository>[^@]+)@(?P<commit>[0-9a-f]+)")


def count_tokens(model: Model, prompt: str) -> int | None:
    """Tokens of a prompt, the marks of begin and end included; None when the model has no tokenizer that we know."""
    tokenizer = _tokenizer(model.source, model.revision, model.pipeline_class, model.options.get("config", ""))
    return None if tokenizer is None else len(tokenizer(prompt, truncation=False, verbose=False)["input_ids"])


@lru_cache(maxsize=8)
def _tokenizer(source: str, revision: str, pipeline_class: str, config: str) -> Any:
    """The tokenizer of a model, from its folder or the hub."""
    import transformers

    hub = _HUB.match(revision)
    files = HubFiles(hub["repository"], hub["commit"]) if hub else FolderFiles(Path(config or source))
    parts = components(read_json(files, INDEX))
    name = _LONGEST_SIGHTED.get(family_of(pipeline_class).name, "tokenizer")
    name = name if name in parts else "tokenizer"
    if name not in parts:
        return None
    if isinstance(files, HubFiles):
        folder = files.download([each for each in files.names() if each.startswith(f"{name}/")])
    else:
        folder = Path(config or source)
    return getattr(transformers, parts[name][1]).from_pretrained(folder / name)
