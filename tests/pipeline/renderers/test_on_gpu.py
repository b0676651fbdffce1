"""What only a GPU can show: run with `pytest -m gpu` on a machine that has one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import OutOfMemoryError
from pipeline.performance import PROFILES
from pipeline.renderers.diffusion.decoding import to_bytes
from pipeline.renderers.table import renderer_kind
from pipeline.request import Request
from tests.pipeline.renderers import tiny
from tests.pipeline.renderers.asking import request_of

pytestmark = pytest.mark.gpu

Draw = Callable[..., Any]
"""`draw(name, *seeds, **levers)`: pixels of one batch of two on the GPU."""


@pytest.fixture
def draw(tiny_folder: Callable[[str], Path], request: pytest.FixtureRequest) -> Draw:
    """Tiny models on the first GPU, closed at the end."""

    def drawn(name: str, *seeds: int, size: int = 2, **levers: Any) -> Any:
        kind = renderer_kind("diffusers")
        model = kind.resolve(str(tiny_folder(name)), precision="fp16" if name == "sd" else "bf16")
        chosen = replace(PROFILES["plain"], **levers)
        model = replace(model, levers=chosen.pixel_fields(), options=model.options | chosen.options())
        renderer = kind.load(model, device="cuda", threads=0)
        request.addfinalizer(renderer.close)
        batch: list[Request] = [request_of(model, seed=seed, steps=4, **model.levers) for seed in seeds]
        pictures = renderer.decode(renderer.denoise(batch, batch_size=size))
        assert renderer.peak_memory_bytes() > 0
        return np.stack([picture.pixels for picture in pictures]).astype(float)

    return drawn


@pytest.mark.parametrize("name", sorted(tiny.FAMILIES))
def test_image_ignores_its_neighbours_on_a_gpu(draw: Draw, name: str) -> None:
    """Alone with padding, or beside another: the same bits within one batch shape."""
    assert np.array_equal(draw(name, 7)[0], draw(name, 7, 99)[0])


@pytest.mark.parametrize(
    "levers", [{"compile": "on"}, {"channels_last": "on"}, {"memory": "offload"}, {"memory": "text_offload"}]
)
def test_levers_without_pixels_draw_the_same_to_the_eye(draw: Draw, levers: dict[str, Any]) -> None:
    """Compiled whole, in another memory order, or with weights that wait on the host."""
    error = ((draw("sd", 7) - draw("sd", 7, **levers)) ** 2).mean()
    assert error < 4.0


def test_fp8_by_rows_ignores_neighbours(draw: Draw) -> None:
    """Needs compute capability 8.9."""
    assert torch.cuda.get_device_capability() >= (8, 9)
    assert np.array_equal(draw("flux", 7, quantization="fp8")[0], draw("flux", 7, 99, quantization="fp8")[0])


def test_int4_weights_ignore_neighbours(draw: Draw) -> None:
    """Needs compute capability 8.0; the kernel is torch's own."""
    assert np.array_equal(draw("flux", 7, quantization="int4")[0], draw("flux", 7, 99, quantization="int4")[0])


def test_batch_that_does_not_fit_says_so_and_leaves_a_device_that_works(draw: Draw) -> None:
    """The error is ours, and the same process goes on with a smaller batch."""
    free, _ = torch.cuda.mem_get_info()
    hog = torch.empty(int(free * 0.97), dtype=torch.uint8, device="cuda")
    with pytest.raises(OutOfMemoryError):
        draw("sd", *range(512), size=512)
    del hog
    torch.cuda.empty_cache()
    assert draw("sd", 7).shape[0] == 1


def test_pixels_leave_the_gpu_as_they_would_be_on_the_cpu() -> None:
    """Through pinned memory and on a stream of its own; each array stays what it is when the next one is copied."""
    images = [torch.rand((2, 3, 64, 48), generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        copied = [to_bytes(image.cuda()) for image in images]
    for image, pixels in zip(images, copied, strict=True):
        assert np.abs(pixels.astype(int) - to_bytes(image).astype(int)).max() <= 1
