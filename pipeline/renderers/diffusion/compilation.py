"""Compiled code for a denoiser: one graph for each shape of batch, chosen before each pass, never made by surprise.

Code that another worker compiled is taken from an artifact of `torch.compiler.save_cache_artifacts`. Its entries are
pickles that torch loads once it looks one up, and machine code: an artifact must come from somebody who may run code
here (`pipeline/memory/compile_memory.py` sees to that). Torch itself only notices damage, by a checksum.
"""

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

from pipeline.model import Model
from pipeline.performance import Levers
from pipeline.renderers.diffusion.families import Family
from pipeline.request import Lora
from pipeline.working.compile_decision import CompileTerms

COMPILE_ERRORS: Final = (TorchDynamoException, FailOnRecompileLimitHit)
"""What torch raises when a model cannot be compiled here; the model itself is unharmed."""

_GRAPHS: Final = 64
"""Shapes that one process may compile a module for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assumed:
    """Figures that stand in until a worker has measured its own."""

    seconds: float
    gain: float


_WHOLE: Final = _Assumed(seconds=67.0, gain=0.28)
"""Published: FLUX.1-dev takes 67 s to compile whole (H100); a pass of SDXL's UNet falls from 0.076 to 0.055 s (L40)."""

_BLOCKS: Final = _Assumed(seconds=9.6, gain=0.33)
"""Published: FLUX.1-dev by its repeated blocks takes 9.6 s on an H100, and an image 4.5 s instead of 6.7."""

_CACHED_SHARE: Final = 0.5
"""Of that, with compiled code at hand: tracing remains. An assumption; nobody publishes it for these models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphShape:
    """All that another graph follows from."""

    width: int
    height: int
    batch_size: int
    guided: bool
    guidance_ends: bool
    loras: tuple[Lora, ...]


class Compilation:
    """Compiled forms of one loaded denoiser. For the thread that denoises.

    Args:
        backbone: the denoiser; compiled by its repeated blocks where it names them, in a tenth of the time, else whole.
        whole: compile it whole all the same, as UNets are, whose blocks are few and all different.
        must: whatever it costs.
        name: of the model, for a person.
        identity: what compiled code depends on beside the shape.
    """

    def __init__(self, backbone: Any, *, whole: bool, must: bool, name: str, identity: dict[str, Any]) -> None:
        self._backbone, self._whole, self.must = (
            backbone,
            whole or not getattr(backbone, "_repeated_blocks", None),
            must,
        )
        self._name, self._identity = name, identity
        self._calls: dict[torch.nn.Module, Any] = {}
        self._shapes: set[GraphShape] = set()
        self.problem = ""
        """Why nothing is compiled any more; empty while it can be."""

    @property
    def lever(self) -> str:
        """Its name in the profile of a record."""
        return "compiled" if self._whole else "compiled_blocks"

    def has(self, shape: GraphShape) -> bool:
        """Whether batches of this shape run compiled."""
        return shape in self._shapes and not self.problem

    def terms(self, shape: GraphShape) -> CompileTerms | None:
        """What compiling for a shape means; None when it is done, failed before, or would be done for few images.

        LoRAs change the modules, so that each set of them needs graphs of its own: only whoever asks gets them.
        """
        if self.problem or shape in self._shapes or (shape.loras and not self.must):
            return None
        assumed = _WHOLE if self._whole else _BLOCKS
        told = self._identity | {
            "shape": [shape.width, shape.height, shape.batch_size, shape.guided, shape.guidance_ends],
            "loras": [[lora.revision, lora.scale] for lora in shape.loras],
            "whole": self._whole,
        }
        return CompileTerms(
            key=hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32],
            what=f"{self._name} at {shape.width}x{shape.height}, {shape.batch_size} at once",
            must=self.must,
            seconds=assumed.seconds,
            cached_seconds=assumed.seconds * _CACHED_SHARE,
            gain=assumed.gain,
        )

    @contextmanager
    def compiling(self, shape: GraphShape) -> Iterator[None]:
        """Passes within the block make the graphs of this shape; it counts as compiled when none of them raised."""
        config = torch._dynamo.config  # noqa: SLF001 - documented, under this name only
        config.cache_size_limit = max(config.cache_size_limit, _GRAPHS)
        if not self._calls:
            if self._whole:
                self._backbone.compile(fullgraph=True, dynamic=False)
            else:
                self._backbone.compile_repeated_blocks(fullgraph=True, dynamic=False)
            self._calls = {
                module: module._compiled_call_impl  # noqa: SLF001 - where torch keeps it; there is no public switch
                for module in self._backbone.modules()
                if module._compiled_call_impl is not None  # noqa: SLF001
            }
        self._switch(on=True)
        yield
        self._shapes.add(shape)

    def choose(self, shape: GraphShape) -> None:
        """Let the next passes run compiled if this shape is, and as they are otherwise."""
        self._switch(on=self.has(shape))

    def give_up(self, why: str) -> None:
        """Nothing runs compiled any more."""
        self.problem = why
        self._switch(on=False)

    def _switch(self, *, on: bool) -> None:
        for module, call in self._calls.items():
            module._compiled_call_impl = call if on else None  # noqa: SLF001


def compilation_of(
    pipe: Any, family: Family, model: Model, levers: Levers, *, device: str, pulled: tuple[str, ...]
) -> Compilation | None:
    """How a loaded pipeline is compiled; None when it is not: told so, on a CPU that nobody asked it for, or offloaded.

    Args:
        pipe: on its device.
        family: of the model.
        model: as frozen.
        levers: as asked for.
        device: `cpu`, `cuda` or `cuda:<n>`.
        pulled: names of the levers that are in force.
    """
    backbone = getattr(pipe, family.backbone, None)
    if backbone is None or levers.compile == "off":
        return None
    must = levers.compile == "on"
    if not must and (device == "cpu" or {"offload", "group_offload"} & set(pulled)):
        return None
    identity = {
        "machine": _machine(device),
        "versions": _versions(),
        "model": [model.revision, model.pipeline_class, model.precision, bool(model.distilled)],
        "levers": [*pulled, *sorted(f"{name}={value}" for name, value in model.levers.items())],
    }
    return Compilation(backbone, whole=family.backbone == "unet", must=must, name=model.name, identity=identity)


def load_code(code: bytes) -> bool:
    """Give torch what another worker compiled, before it compiles; whether it could read that."""
    return bool(code) and torch.compiler.load_cache_artifacts(code) is not None


def saved_code() -> bytes:
    """All that this process has compiled so far, for another one; empty where torch has nothing to give."""
    saved = torch.compiler.save_cache_artifacts()
    return saved[0] if saved is not None else b""


def _versions() -> dict[str, str]:
    found = {"torch": torch.__version__, "cuda": str(torch.version.cuda), "python": platform.python_version()}
    for distribution in ("triton", "diffusers", "peft", "torchao"):
        try:
            found[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            found[distribution] = "none"
    return found


def _machine(device: str) -> list[Any]:
    """The architecture that code is compiled for; of a CPU all that it can do, as code for another one would crash."""
    if device != "cpu":
        return [torch.cuda.get_device_name(device), *torch.cuda.get_device_capability(device)]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    able = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return [platform.machine(), hashlib.sha256(able.encode()).hexdigest()]
