"""What each exception of torch means, while rendering and while a model is loaded: an undecided class fails here."""

import errno
import os
from collections.abc import Callable

import pytest
import safetensors

from pipeline.causes import RULES, Remedy, cause_of, poisons
from pipeline.errors import (
    BadRequestError,
    DeviceBrokenError,
    ModelUnavailableError,
    OutOfMemoryError,
    SpotrenderError,
)
from pipeline.model import Model
from pipeline.record import Cause
from pipeline.renderers.diffusion import loading
from pipeline.renderers.diffusion.faults import device_faults
from tests.causes.raisable import exception_classes, made

MODULES = (
    "torch",
    "torch._C",
    "torch.cuda",
    "torch.distributed",
    "torch.linalg",
    "torch.utils.checkpoint",
    "torch.jit",
)

NO_MEMORY = {"OutOfMemoryError"}

BROKEN_DEVICE = {"AcceleratorError", "CudaError", "DeferredCudaCallError"}

THE_REQUESTS = {
    "_LinAlgError",
    "LinAlgError",
    "Error",
    "FatalError",
    "CheckpointError",
    "TracingCheckError",
    "_StopRecomputationError",
    "DistBackendError",
    "DistError",
    "DistNetworkError",
    "DistStoreError",
    "QueueEmptyError",
}
"""Until other processes acquit it."""

TEXTS = {
    "CUDA out of memory. Tried to allocate 20.00 GiB": OutOfMemoryError,
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 123 bytes": OutOfMemoryError,
    "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": OutOfMemoryError,
    "CUDA error: out of memory": OutOfMemoryError,
    "CUDA error: device-side assert triggered": DeviceBrokenError,
    "CUDA error: an illegal memory access was encountered": DeviceBrokenError,
    "CUDA error: uncorrectable ECC error encountered": DeviceBrokenError,
    "CUDA error: unspecified launch failure": DeviceBrokenError,
    "CUDA error: the launch timed out and was terminated": DeviceBrokenError,
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED": DeviceBrokenError,
    "CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`": DeviceBrokenError,
    "CUDA driver error: device not ready": DeviceBrokenError,
    "HIP error: invalid device function": DeviceBrokenError,
    "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)": BadRequestError,
    "The size of tensor a (77) must match the size of tensor b (78)": BadRequestError,
}
"""What torch raises as a plain RuntimeError, by its text."""

LOADING = [OSError(number, os.strerror(number), "/models/x") for number in (errno.ENOENT, errno.EACCES, errno.EIO)]

CLASSES = {name: kind for module in MODULES for name, kind in exception_classes(module, own=False).items()}


def _rendering(error: BaseException) -> SpotrenderError:
    """What the device's adapter makes of an error that the pipeline raises."""
    with pytest.raises(SpotrenderError) as caught, device_faults():
        raise error
    return caught.value


def test_every_class_is_decided_on() -> None:
    """A new torch with a new class stops here until somebody says what it means."""
    of_torch = {name for name, kind in CLASSES.items() if kind.__module__.startswith("torch")}
    assert of_torch <= NO_MEMORY | BROKEN_DEVICE | THE_REQUESTS


@pytest.mark.parametrize("name", sorted(NO_MEMORY | BROKEN_DEVICE | THE_REQUESTS & set(CLASSES)))
def test_each_class_has_its_cause_while_rendering(name: str) -> None:
    """No memory: a smaller batch. A broken device: another process, and this one is never trusted again."""
    error = _rendering(made(CLASSES[name]))
    if name in NO_MEMORY:
        assert (cause_of(error, rendering=True), poisons(error)) == (Cause.OUT_OF_MEMORY, False)
    else:
        assert (cause_of(error, rendering=True), poisons(error)) == (Cause.BAD_REQUEST, name in BROKEN_DEVICE)


@pytest.mark.parametrize("text", TEXTS)
def test_a_bare_runtime_error_has_its_cause_from_its_text(text: str) -> None:
    """Torch raises most of what goes wrong on a device as one class."""
    assert type(_rendering(RuntimeError(text))) is TEXTS[text]


def _fails_with(error: BaseException) -> Callable[[Model], object]:
    def pipeline(_model: Model) -> object:
        raise error

    return pipeline


def _loaded_with(error: BaseException, monkeypatch: pytest.MonkeyPatch, model: Model) -> SpotrenderError:
    """What becomes of an error of the libraries while they load a model."""
    monkeypatch.setattr(loading, "_pipeline", _fails_with(error))
    with pytest.raises(SpotrenderError) as caught:
        loading.load_renderer(model, device="cpu", threads=0)
    return caught.value


def test_whatever_is_raised_while_loading_is_about_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, hub, weights, memory: never an image's fault; the worker is replaced, or the model given up."""
    from tests.pipeline.single_worker import synthetic_model

    model = synthetic_model()
    hub = exception_classes("huggingface_hub.errors")
    libraries = [made(kind) for kind in [*hub.values(), *CLASSES.values()] if issubclass(kind, Exception)]
    weights = [safetensors.SafetensorError("invalid header"), MemoryError(), RuntimeError("CUDA error: no device")]
    for error in (*LOADING, *libraries, *weights):
        told = _loaded_with(error, monkeypatch, model)
        assert isinstance(told, ModelUnavailableError), error
        assert cause_of(told) is Cause.MODEL_UNAVAILABLE
        assert "\n" not in str(told)
    assert RULES[Cause.MODEL_UNAVAILABLE].remedy is Remedy.OTHER_MODELS
    assert len(hub) > 30
