"""What cannot be loaded or drawn says why in one line, under the right name in the tree of errors."""

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import (
    BadRequestError,
    ClusterRefusedError,
    DeviceBrokenError,
    HandedBackError,
    ModelUnavailableError,
    OutOfMemoryError,
)
from pipeline.ports import Interruptible
from pipeline.renderers.diffusion.faults import device_faults
from pipeline.renderers.diffusion.kind import DiffusersKind
from tests.pipeline.renderers.asking import request_of
from tests.pipeline.renderers.conftest import Load

Folder = Callable[[str], Path]


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "tpu"])
def test_a_promised_device_that_is_not_there_is_refused(
    device: str, tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never on CPU in silence."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = DiffusersKind().resolve(str(tiny_folder("sd")))
    with pytest.raises(ClusterRefusedError):
        DiffusersKind().load(model, device=device, threads=1)


def test_a_model_that_cannot_be_loaded_says_why(tiny_folder: Folder, tmp_path: Path) -> None:
    """Weights that are gone, cut off, or of a class that this diffusers lacks: one line each."""
    kind = DiffusersKind()
    folder = Path(shutil.copytree(tiny_folder("sd"), tmp_path / "sd"))
    model = kind.resolve(str(folder))
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailableError) as cut:
        kind.load(model, device="cpu", threads=1)
    shutil.rmtree(folder)
    with pytest.raises(ModelUnavailableError) as gone:
        kind.load(model, device="cpu", threads=1)
    for error in (cut, gone):
        assert "\n" not in str(error.value)
        assert str(folder) in str(error.value)


def test_threads_are_set(load: Load) -> None:
    """Torch uses as many CPU threads as the worker was given."""
    load("sd")
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), OutOfMemoryError),
        (MemoryError(), OutOfMemoryError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), OutOfMemoryError),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), DeviceBrokenError),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), DeviceBrokenError),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceBrokenError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OutOfMemoryError),
        (ValueError("height must be\ndivisible by 8"), BadRequestError),
        (RuntimeError("shapes cannot be multiplied"), BadRequestError),
        (OutOfMemoryError("as it is"), OutOfMemoryError),
    ],
)
def test_faults_are_told_apart(raised: Exception, expected: type[Exception]) -> None:
    """Memory is retried smaller, a broken device elsewhere, a bad request not at all; one line each."""
    with pytest.raises(expected) as caught, device_faults():
        raise raised
    assert "\n" not in str(caught.value)


def test_a_real_allocation_that_fails_is_out_of_memory() -> None:
    """The host's own allocator, asked for more than there is."""
    with pytest.raises(OutOfMemoryError), device_faults():
        torch.empty(1 << 55, dtype=torch.uint8)


def test_a_request_that_the_pipeline_refuses_is_a_bad_request(load: Load) -> None:
    """The pipeline's own complaint comes through, and the renderer goes on rendering."""
    model, renderer = load("sd")
    with pytest.raises(BadRequestError, match="divisible by 8"):
        renderer.denoise([request_of(model, width=66)], batch_size=1)
    assert len(renderer.decode(renderer.denoise([request_of(model)], batch_size=1))) == 1


@pytest.mark.parametrize("family", ["sd", "flux", "pixart"])
def test_batch_can_be_interrupted_between_two_steps(family: str, load: Load) -> None:
    """It ends at the next step and leaves a renderer that renders."""
    model, renderer = load(family)
    assert isinstance(renderer, Interruptible)
    scheduler, steps = renderer._pipe.scheduler, []  # type: ignore[attr-defined]  # noqa: SLF001 - counts real steps
    step = type(scheduler).step

    def counted(self: object, *arguments: object, **named: object) -> object:
        steps.append(1)
        renderer.interrupt()
        return step(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(scheduler), "step", functools.wraps(step)(counted))
        with pytest.raises(HandedBackError):
            renderer.denoise([request_of(model, steps=3)], batch_size=1)
    assert len(steps) == 1
    assert len(renderer.decode(renderer.denoise([request_of(model)], batch_size=1))) == 1


def test_a_negative_prompt_that_would_do_nothing_is_refused(load: Load) -> None:
    """FLUX has no negative text: it is never dropped in silence."""
    model, renderer = load("flux")
    with pytest.raises(BadRequestError, match="no negative prompt"):
        renderer.denoise([request_of(model, negative="blurry")], batch_size=1)


def test_another_precision_than_loaded_is_refused(load: Load) -> None:
    """Precision is part of the request, so a renderer does not quietly draw in its own."""
    model, renderer = load("sd")
    with pytest.raises(BadRequestError, match="fp32"):
        renderer.denoise([request_of(model, precision="fp16")], batch_size=1)


def test_half_precision_renders(load: Load) -> None:
    """bfloat16 through text, steps and decoding gives finite pictures that are not those of fp32."""
    model, renderer = load("sd", precision="bf16")
    (picture,) = renderer.decode(renderer.denoise([request_of(model)], batch_size=1))
    assert picture.finite
    full_model, full = load("sd")
    (reference,) = full.decode(full.denoise([request_of(full_model)], batch_size=1))
    assert not np.array_equal(picture.pixels, reference.pixels)
    assert abs(picture.pixels.astype(int) - reference.pixels.astype(int)).mean() < 10


def test_text_is_encoded_once_per_distinct_text(load: Load) -> None:
    """Padding, repeats and later batches reuse the embeddings; another negative text is another text."""
    model, renderer = load("sd")
    seen: list[int] = []
    encoder = renderer._pipe.text_encoder  # type: ignore[attr-defined]  # noqa: SLF001 - counts real forward passes
    encoder.register_forward_hook(lambda *_: seen.append(1))
    batch = [request_of(model, seed=seed) for seed in range(3)]
    renderer.denoise(batch, batch_size=4)
    renderer.denoise(batch, batch_size=4)
    assert len(seen) == 2, "one pass for the text, one for the empty negative"
    renderer.denoise([request_of(model, negative="blurry")], batch_size=4)
    assert len(seen) == 4
    renderer.denoise([request_of(model, prompt="another thing")], batch_size=4)
    assert len(seen) == 5, "the empty negative is known by now"


def test_the_text_cache_is_bounded_in_bytes(load: Load) -> None:
    """The oldest texts are dropped first, and what was dropped is encoded again to the same bits."""
    from pipeline.renderers.diffusion.encoding import TextCache
    from pipeline.renderers.diffusion.families import family_of

    model, renderer = load("sd")
    pipe = renderer._pipe  # type: ignore[attr-defined]  # noqa: SLF001 - a cache of its own over a real encoder
    one = 2 * 77 * 32 * 4
    cache = TextCache(pipe, family_of(model.pipeline_class), limit_bytes=3 * one)
    requests = [request_of(model, prompt=f"cat {number}") for number in range(9)]
    first = cache.arguments(requests[:1])
    cache.arguments(requests)
    assert cache.size_bytes <= 3 * one
    again = cache.arguments(requests[:1])
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_batch_size_is_the_models_or_a_rule(load: Load) -> None:
    """A profile's batch wins; a CPU worker without one takes four."""
    model, renderer = load("sd")
    assert renderer.batch_size(request_of(model).variant) == 4
    model, renderer = load("sd", batch_size=8)
    assert renderer.batch_size(request_of(model).variant) == 8


def test_closing_twice_is_no_error(load: Load) -> None:
    """A worker that ends in haste may close again."""
    _, renderer = load("sd")
    renderer.close()
    renderer.close()
