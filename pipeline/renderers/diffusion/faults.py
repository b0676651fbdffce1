"""Tells what went wrong on the device: no memory, a broken device, or a request that the pipeline refuses.

After a failed kernel (a device-side assert, an illegal access, an ECC error) every later call of the same process may
fail or, worse, give wrong pictures, so such an error ends the trust in the process. What Python or torch raise on the
host before anything is launched (wrong shapes, odd values) leaves the device as it was.
"""

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import BadRequestError, DeviceBrokenError, OutOfMemoryError, SpotrenderError
from pipeline.renderers.diffusion.hub import without_token

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
_BROKEN_DEVICE = (
    "CUDA error",
    "CUDA driver error",
    "cudaError",
    "device-side assert",
    "ECC error",
    "CUBLAS_STATUS_",
    "CUDNN_STATUS_",
    "cuDNN error",
    "CUSOLVER_STATUS_",
    "CUFFT_",
    "NCCL error",
    "HIP error",
)
_BROKEN_KINDS = (torch.AcceleratorError, torch.cuda.CudaError, torch.cuda.DeferredCudaCallError)
_LONGEST = 300


@contextmanager
def device_faults() -> Iterator[None]:
    """Turn whatever the pipeline raises inside into an error of ours, with a message of one line.

    Raises:
        OutOfMemoryError: the device or the host has no memory left for this batch.
        DeviceBrokenError: a kernel failed; the process must not go on.
        HandedBackError: somebody interrupted the batch.
        BadRequestError: anything else.
    """
    try:
        yield
    except SpotrenderError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(error) from error
    except Exception as error:
        text = str(error)
        if isinstance(error, RuntimeError) and any(sign in text for sign in _NO_MEMORY):
            raise _out_of_memory(error) from error
        broken = isinstance(error, RuntimeError) and any(sign in text for sign in _BROKEN_DEVICE)
        if broken or isinstance(error, _BROKEN_KINDS):
            raise DeviceBrokenError(f"the device failed: {one_line(error)}") from error
        raise BadRequestError(f"the pipeline refuses the request: {one_line(error)}") from error


def _out_of_memory(error: Exception) -> OutOfMemoryError:
    """Ours; what the failed pass still held through its traceback is let go, so that a smaller batch finds room."""
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return OutOfMemoryError(one_line(error))


def one_line(error: BaseException) -> str:
    """Type and message of an exception in one line of at most 300 characters, without the hub token."""
    return without_token(f"{type(error).__name__}: {error}")[:_LONGEST]
