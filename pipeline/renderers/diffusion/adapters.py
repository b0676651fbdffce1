"""LoRAs: frozen at submit, and on a worker loaded once and switched on and off as variants ask."""

import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pipeline.errors import BadRequestError, ModelError
from pipeline.renderers.diffusion.faults import one_line
from pipeline.renderers.diffusion.folder import content_revision
from pipeline.renderers.diffusion.hub import HubFiles
from pipeline.request import Lora

_KEPT = 8
_HUB = re.compile(r"hub:(?P<repository>[^@#]+)@(?P<commit>[0-9a-f]+)#(?P<file>.+)")


def merge_lora(pipe: Any, lora: Lora) -> None:
    """Add a LoRA to the weights for good, so that no step pays for it and whatever is done to weights is done to both.

    Raises:
        BadRequestError: it cannot be loaded, changed since submit, or does not fit the model.
    """
    Adapters(pipe).activate((lora,))
    pipe.fuse_lora(lora_scale=1.0)
    pipe.unload_lora_weights()


class Adapters:
    """The LoRAs of one loaded pipeline, but for one that is merged into its weights. For one thread."""

    def __init__(self, pipe: Any, *, merged: Lora | None = None) -> None:
        self._pipe = pipe
        self._merged = merged
        self._active: tuple[Lora, ...] = ()
        self._loaded: OrderedDict[str, str] = OrderedDict()
        self._count = 0

    def acts(self, loras: tuple[Lora, ...]) -> bool:
        """Whether exactly these act already."""
        return self.beside(loras) == self._active

    def beside(self, loras: tuple[Lora, ...]) -> tuple[Lora, ...]:
        """Those that are not in the weights already."""
        return tuple(lora for lora in loras if lora != self._merged)

    def activate(self, loras: tuple[Lora, ...]) -> None:
        """Make exactly these LoRAs act, in this order; none at all gives back the bare model.

        Raises:
            BadRequestError: one cannot be loaded, changed since submit, or does not fit the model.
        """
        loras = self.beside(loras)
        if loras == self._active:
            return
        if not loras:
            self._pipe.disable_lora()
        else:
            names = [self._loaded_as(lora) for lora in loras]
            self._pipe.enable_lora()
            self._pipe.set_adapters(names, [lora.scale for lora in loras])
        self._active = loras
        self._forget({lora.revision for lora in loras})

    def _loaded_as(self, lora: Lora) -> str:
        """The name of this LoRA's adapter, loaded now if it is not yet."""
        name = self._loaded.get(lora.revision)
        if name is None:
            name = f"lora{self._count}"
            self._count += 1
            self._load(lora, name)
            self._loaded[lora.revision] = name
        self._loaded.move_to_end(lora.revision)
        return name

    def _load(self, lora: Lora, name: str) -> None:
        if not hasattr(self._pipe, "load_lora_weights"):
            raise BadRequestError(f"{type(self._pipe).__name__} takes no LoRA; leave loras out")
        try:
            path = _fetched(lora)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Already found a `peft_config` attribute")
                self._pipe.load_lora_weights(
                    str(path.parent),
                    weight_name=path.name,
                    adapter_name=name,
                    use_safetensors=True,
                    local_files_only=True,
                )
        except ModelError as error:
            raise BadRequestError(str(error)) from error
        except torch.OutOfMemoryError:
            raise
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise BadRequestError(f"{lora.source}: this LoRA cannot be loaded: {one_line(error)}") from error
        if not any(name in names for names in self._pipe.get_list_adapters().values()):
            raise BadRequestError(
                f"{lora.source}: this LoRA does not fit {type(self._pipe).__name__}; none was applied"
            )

    def _forget(self, needed: set[str]) -> None:
        """Drop the LoRAs that were needed longest ago."""
        for revision in [revision for revision in self._loaded if revision not in needed]:
            if len(self._loaded) <= _KEPT:
                return
            self._pipe.delete_adapters(self._loaded.pop(revision))


def _fetched(lora: Lora) -> Path:
    """The LoRA's file on this machine, its content the one that was frozen. Raises: ModelError."""
    match = _HUB.fullmatch(lora.revision)
    if match:
        return HubFiles(match["repository"], match["commit"]).download([match["file"]]) / match["file"]
    path = Path(lora.source)
    if content_revision([("lora", path)]) != lora.revision:
        raise ModelError(f"{lora.source}: this LoRA has changed since the job was submitted; submit the job again")
    return path
