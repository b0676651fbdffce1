"""Puts a frozen model onto a device, from safetensors, with what makes its arithmetic repeatable."""

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from pipeline.distilled import distilled_of
from pipeline.errors import ClusterRefusedError, ModelError, ModelUnavailableError, SpotrenderError
from pipeline.model import Model
from pipeline.performance import frozen_levers
from pipeline.renderers.diffusion.adapters import merge_lora
from pipeline.renderers.diffusion.applying import apply_levers, fitting_memory
from pipeline.renderers.diffusion.compilation import compilation_of
from pipeline.renderers.diffusion.drawing import WHOLE_CALL
from pipeline.renderers.diffusion.families import OTHER, family_of
from pipeline.renderers.diffusion.faults import one_line
from pipeline.renderers.diffusion.files import INDEX, read_json
from pipeline.renderers.diffusion.hub import HubFiles
from pipeline.renderers.diffusion.renderer import DiffusersRenderer
from pipeline.renderers.diffusion.resolving import chosen_files

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""Precision -> torch's type."""

_SAFE = "*.safetensors"
_HUB = re.compile(r"hub:(?P<repository>[^@#]+)@(?P<commit>[0-9a-f]+)(?:#.*)?")


def load_renderer(model: Model, *, device: str, threads: int) -> DiffusersRenderer:
    """Load the pipeline of a model.

    Args:
        model: as frozen at submit.
        device: `cpu`, `cuda` or `cuda:<n>`.
        threads: CPU threads for torch's work in this process; 0 leaves torch's own choice.

    Raises:
        ClusterRefusedError: the device is not there.
        ModelUnavailableError: the model cannot be loaded; one line says why.
    """
    _require(device)
    _settle(threads)
    levers = frozen_levers(model.levers, model.options)
    try:
        pipe = _pipeline(model, device=device, memory=levers.memory)
        family, distilled = family_of(model.pipeline_class), distilled_of(model)
        if distilled is not None:
            merge_lora(pipe, distilled.lora)
        pulled = apply_levers(pipe, family, levers, device=device, steps=model.steps)
        compilation = compilation_of(pipe, family, model, levers, device=device, pulled=pulled)
    except SpotrenderError as error:
        raise ModelUnavailableError(str(error)) from error
    except Exception as error:
        raise ModelUnavailableError(f"{model.name}: cannot be loaded: {one_line(error)}") from error
    pipe.set_progress_bar_config(disable=True)
    if family.name == "sdxl" and pipe.vae.dtype == torch.float16 and pipe.vae.config.force_upcast:
        pipe.vae.to(dtype=torch.float32)
    threads = threads if device == "cpu" else 0
    return DiffusersRenderer(pipe, model, device=device, threads=threads, levers=pulled, compilation=compilation)


def _require(device: str) -> None:
    """Refuse a device that is not there: never another one in its stead."""
    if device == "cpu":
        return
    kind, _, index = device.partition(":")
    if kind != "cuda":
        raise ClusterRefusedError(f"there is no device {device!r}; it is cpu, cuda or cuda:<n>")
    if not torch.cuda.is_available():
        raise ClusterRefusedError(
            f"{device} was promised, but torch {torch.__version__} sees no GPU here; mend the driver or install torch "
            "with CUDA, or ask for CPU workers"
        )
    if index and int(index) >= torch.cuda.device_count():
        raise ClusterRefusedError(f"{device} was promised, but this node has {torch.cuda.device_count()} GPUs")


def _settle(threads: int) -> None:
    """Fix what would make arithmetic vary at no cost, and silence the libraries' own bars and chatter."""
    import diffusers
    import transformers
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if threads:
        torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    disable_progress_bars()


def _pipeline(model: Model, *, device: str, memory: str) -> Any:
    """The pipeline in the model's precision: read straight to the device where all of it has room there.

    What runs code of its own is read on the CPU first, and so are the text encoders of a single file.
    """
    import diffusers

    match = None if model.weights else _HUB.fullmatch(model.revision)
    pickled, code = (model.options.get(name) == "true" for name in ("allow_pickle", "allow_remote_code"))
    pipeline_class = diffusers.DiffusionPipeline if code else getattr(diffusers, model.pipeline_class, None)
    if pipeline_class is None:
        raise ModelUnavailableError(f"{model.name}: diffusers {diffusers.__version__} has no {model.pipeline_class}")
    common: dict[str, Any] = {"dtype": DTYPES[model.precision], "local_files_only": True}
    if model.options.get("config") and not match:
        common["device"] = device if _has_room([Path(model.source)], device, memory) else "cpu"
        pipe = pipeline_class.from_single_file(model.source, config=model.options["config"], **common)
    else:
        folder = _fetched(model, match["repository"], match["commit"]) if match else Path(model.source)
        common |= {"variant": model.options.get("variant"), "use_safetensors": None if pickled else True}
        if code:
            common["trust_remote_code"] = True
        elif family_of(model.pipeline_class) is not OTHER and _has_room(folder.rglob(_SAFE), device, memory):
            common["device_map"] = torch.device(device).type
        pipe = pipeline_class.from_pretrained(folder, **common)
    _check_call(model, pipe)
    return pipe


def _has_room(weights: Iterable[Path], device: str, memory: str) -> bool:
    """Whether these files of weights together fit into the device, are to stay there, and torch takes it by itself."""
    if device == "cpu":
        return True
    if device != "cuda" or memory in {"offload", "group_offload"}:
        return False
    size = sum(path.stat().st_size for path in weights)
    total = torch.cuda.get_device_properties(device).total_memory
    return fitting_memory(weights=size, text_encoders=0, total=total) == "fit"


def _fetched(model: Model, repository: str, commit: str) -> Path:
    """The folder with a hub model's files, fetched as far as they are not in the cache. Raises: ModelError."""
    files = HubFiles(repository, commit)
    if files.commit != commit:
        raise ModelError(f"{model.name}: the hub answers with commit {files.commit} instead of {commit}")
    names = chosen_files(files, read_json(files, INDEX), model.options)
    files.require(names)
    return files.download(names)


def _check_call(model: Model, pipe: Any) -> None:
    """Refuse a pipeline of no family that we know whose call we would have to guess."""
    if family_of(model.pipeline_class).name != "other":
        return
    parameters = inspect.signature(pipe.__call__).parameters
    missing = [name for name in WHOLE_CALL if name not in parameters]
    if missing or "true_cfg_scale" in parameters or "image" in parameters:
        what = f"has no {', '.join(missing)}" if missing else "has guidance or inputs of its own"
        raise ModelError(
            f"{model.name}: {model.pipeline_class} {what}, so Spotrender cannot drive it; use another model"
        )
