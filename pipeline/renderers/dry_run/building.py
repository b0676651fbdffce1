"""Components of a model from their configuration alone: weights that have a shape and a type, and no numbers."""

from collections.abc import Mapping
from typing import Any

import torch

from pipeline.errors import ModelError


def build(class_name: str, config: Mapping[str, Any], *, dtype: torch.dtype = torch.float16) -> Any:
    """A denoiser or autoencoder of diffusers; call it under `FakeTensorMode`.

    Raises:
        ModelError: diffusers has no such class, or the configuration is none of its.
    """
    import diffusers

    kind = getattr(diffusers, class_name, None)
    if kind is None or not hasattr(kind, "from_config"):
        raise ModelError(f"{class_name}: diffusers has no such class; what it needs cannot be told before it is loaded")
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return kind.from_config(dict(config)).eval()
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"{class_name}: its configuration makes no model ({error}); fetch the model again") from error
    finally:
        torch.set_default_dtype(before)


def text_parameters(class_name: str, config: Mapping[str, Any]) -> tuple[int, int]:
    """All parameters of a text encoder of transformers, and those of them in tables of embeddings."""
    import transformers

    kind = getattr(transformers, class_name)
    with torch.device("meta"):
        model = kind(kind.config_class(**config))
    tables = {id(one.weight): one.weight.numel() for one in model.modules() if isinstance(one, torch.nn.Embedding)}
    return sum(one.numel() for one in model.parameters()), sum(tables.values())
