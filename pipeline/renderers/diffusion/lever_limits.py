"""Which levers a family of models can have, told at submit, without torch and before any GPU is rented."""

from collections.abc import Collection
from importlib.util import find_spec

from pipeline.performance import Levers
from pipeline.renderers.diffusion.families import Family

FP8_GPUS = ("L4", "L40", "L40S", "4090", "5090", "RTX PRO 6000", "H100", "H200", "B200", "B300", "GH200", "GB200")
"""Names, or parts of names, of GPUs with FP8 arithmetic: compute capability 8.9 and later (NVIDIA, CUDA GPUs)."""

BEFORE_AMPERE = ("T4", "V100", "P100", "P40", "P4", "M60", "K80", "2080", "2070", "2060")
"""Names, or parts of names, of GPUs before compute capability 8.0: no int4, no flash attention."""

GUIDANCE_CAN_END = ("sd", "sdxl", "sd3")
"""Families whose pipelines let a callback change the text embeddings between two steps."""

MAG_RATIOS = ("flux",)
"""Families whose magnitude ratios diffusers ships; those of other models depend on the checkpoint."""


FEWEST_TO_SKIP = 12
"""Steps from which on some may be skipped: the ratios were measured over 28 steps, of which the first fifth is kept."""


def lever_problem(
    family: Family, levers: Levers, *, gpus: Collection[str], precision: str = "bf16", steps: int = 28
) -> tuple[str, str] | None:
    """The first lever that cannot be had, as is known before a worker tries, and why with what can; None when all can.

    Args:
        family: of the model.
        levers: all of them.
        gpus: names of the GPUs that may render it; `cpu` for none; empty for unknown ones, which the worker checks.
        precision: of the model.
        steps: that it takes by default.
    """
    checks = (
        ("quantization", _quantization(family, levers.quantization, gpus, precision)),
        ("step_cache", _step_cache(family, levers.step_cache, steps)),
        ("guidance_until", _guidance(family, levers.guidance_until)),
        ("attention", _attention(family, levers.attention, gpus, precision)),
        ("compile", _own_call(family, levers.compile == "on", "compile: off")),
        ("memory", _own_call(family, levers.memory == "text_offload", "memory: offload")),
    )
    return next(((name, problem) for name, problem in checks if problem), None)


def has_fp8(gpu: str) -> bool:
    """Whether a GPU of this name has FP8 arithmetic; one that is not known is believed not to."""
    return _is_one_of(gpu, FP8_GPUS)


def _is_one_of(gpu: str, names: Collection[str]) -> bool:
    """Whether one of these is a part of the GPU's name."""
    words = gpu.replace("-", " ").upper()
    return any(f" {name} " in f" {words} " for name in names)


def _quantization(family: Family, kind: str, gpus: Collection[str], precision: str) -> str | None:
    if kind == "none":
        return None
    if family.name == "other":
        return "this pipeline is known only by its call, so nothing of it is quantized; use quantization: none"
    if find_spec("torchao") is None:
        return 'torchao is not installed: pip install "spotrender[quantization]", or use quantization: none'
    without = [gpu for gpu in gpus if gpu and not has_fp8(gpu)]
    if kind == "fp8" and without:
        return f"{', '.join(sorted(without))} has no FP8 arithmetic (L4, L40S, RTX 4090, H100 and later do); use int8"
    return _int4(gpus, precision) if kind == "int4" else None


def _int4(gpus: Collection[str], precision: str) -> str | None:
    """Torch's own kernel takes bf16 and compute capability 8.0."""
    if "cpu" in gpus:
        return "there is no int4 arithmetic on a CPU; use int8"
    if old := sorted(gpu for gpu in gpus if _is_one_of(gpu, BEFORE_AMPERE)):
        return f"{', '.join(old)} has no int4 arithmetic (A10G, A100, L4 and later do); use int8"
    if precision != "bf16":
        return f"int4 arithmetic takes bf16, not {precision}; use precision: bf16, or quantization: int8"
    return None


def _attention(family: Family, kind: str, gpus: Collection[str], precision: str) -> str | None:
    """Kernels have their own demands of GPU and precision; a mask, as over padded texts, only some take."""
    if kind == "auto":
        return None
    if problem := _own_call(family, asked=True, instead="attention: auto"):
        return problem
    if "cpu" in gpus and kind in {"efficient", "cudnn"}:
        return f"there is no {kind} attention on a CPU; use flash, math or auto"
    if kind in {"flash", "cudnn"}:
        if family.masks_text:
            return f"{family.name} models mask what pads a text, which {kind} does not take; use efficient or auto"
        if old := sorted(gpu for gpu in gpus if _is_one_of(gpu, BEFORE_AMPERE)):
            return f"{', '.join(old)} has no {kind} attention (A10G, A100, L4 and later do); use efficient or auto"
        if precision == "fp32" and any(gpu != "cpu" for gpu in gpus):
            return f"{kind} attention takes fp16 and bf16, not fp32; use efficient or auto"
    return None


def _own_call(family: Family, asked: bool, instead: str) -> str | None:  # noqa: FBT001 - private, and named at each call
    if family.name == "other" and asked:
        return f"this pipeline is known only by its call, so its parts are left alone; use {instead}"
    return None


def _step_cache(family: Family, kind: str, steps: int) -> str | None:
    if kind == "none":
        return None
    if family.name in MAG_RATIOS:
        if steps < FEWEST_TO_SKIP:
            return f"a model of {steps} steps has none to spare; use step_cache: none"
        return None
    if family.backbone == "unet":
        return "there are no step caches for models with a UNet; use fewer steps, or step_cache: none"
    return f"the ratios that a mag cache needs are not known for {family.name} models; use step_cache: none"


def _guidance(family: Family, until: float) -> str | None:
    if until >= 1.0 or family.name in GUIDANCE_CAN_END:
        return None
    if not family.negative_prompt:
        return "this model's guidance is distilled into it and costs nothing; leave guidance_until out"
    return f"the pipelines of {family.name} models cannot end guidance between two steps; leave guidance_until out"
