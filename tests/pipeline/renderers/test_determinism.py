"""An image depends on its request alone: not on neighbours, place, padding, history or what another thread draws."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.errors import BadRequestError
from pipeline.ports import Renderer
from pipeline.renderers.diffusion.drawing import undisturbed
from pipeline.renderers.diffusion.families import family_of
from pipeline.renderers.diffusion.schedulers import SCHEDULERS, scheduler_problem
from pipeline.request import Request
from tests.pipeline.renderers import tiny
from tests.pipeline.renderers.asking import request_of
from tests.pipeline.renderers.conftest import Load

BATCH = 4


def draw(renderer: Renderer, requests: Sequence[Request]) -> list[Any]:
    """The pictures of one batch of the fixed shape."""
    return [picture.pixels for picture in renderer.decode(renderer.denoise(requests, batch_size=BATCH))]


@pytest.mark.parametrize("name", sorted(set(tiny.FAMILIES) - {"sd_prudish", "pixart_binned"}))
def test_image_is_the_same_in_any_company(name: str, shared: Load) -> None:
    """Alone with padding, first, last and beside other texts and seeds: the same bytes."""
    model, renderer = shared(name)
    mine = request_of(model, prompt="a red cat", seed=7)
    others = [request_of(model, prompt=f"dog {seed}, long text", seed=seed) for seed in range(3)]
    alone = draw(renderer, [mine])
    assert len(alone) == 1
    assert np.array_equal(alone[0], draw(renderer, [mine, *others])[0])
    assert np.array_equal(alone[0], draw(renderer, [*others, mine])[3])
    assert np.array_equal(alone[0], draw(renderer, [others[0], mine])[1])
    assert not np.array_equal(alone[0], draw(renderer, others)[0])


@pytest.mark.parametrize("scheduler", sorted(name for name, row in SCHEDULERS.items() if not row.flow))
def test_every_scheduler_determines_its_images(scheduler: str, shared: Load) -> None:
    """With each scheduler by name an image is the same in any company and after any history."""
    model, renderer = shared("sd")
    mine = request_of(model, scheduler=scheduler, steps=3)
    other = request_of(model, prompt="dog", seed=1, scheduler=scheduler, steps=3)
    alone = draw(renderer, [mine])[0]
    draw(renderer, [request_of(model, steps=2)])
    assert np.array_equal(alone, draw(renderer, [other, mine])[1])
    assert not np.array_equal(alone, draw(renderer, [other])[0])


@pytest.mark.parametrize("name", ["sd3", "flux", "flux_schnell"])
def test_every_scheduler_that_fits_a_flow_model_determines_its_images(name: str, shared: Load) -> None:
    """What is not refused for a flow model renders, and the same in any company."""
    model, renderer = shared(name)
    family = family_of(model.pipeline_class)
    fitting = [key for key in SCHEDULERS if scheduler_problem(family, model.options, key) is None]
    assert fitting == ["flow_euler"]
    for scheduler in fitting:
        mine = request_of(model, scheduler=scheduler)
        alone = draw(renderer, [mine])[0]
        other = request_of(model, prompt="dog", seed=1, scheduler=scheduler)
        assert np.array_equal(alone, draw(renderer, [other, mine])[1])


@pytest.mark.parametrize("scheduler", ["flow_euler_sde", "flow_lcm"])
def test_the_global_generator_is_caught_in_the_act(scheduler: str, shared: Load) -> None:
    """A pairing that should have been refused at submit does not slip through: the worker sees it draw."""
    model, renderer = shared("sd3")
    with pytest.raises(BadRequestError, match="global generator"):
        renderer.denoise([request_of(model, scheduler=scheduler)], batch_size=1)


def test_another_thread_may_use_the_global_generator(shared: Load) -> None:
    """A moved global generator alone accuses nobody: equal bits of a second pass acquit."""
    _, renderer = shared("sd")
    pipe = renderer._pipe  # type: ignore[attr-defined]  # noqa: SLF001 - the seam that watches a pipeline

    def draws_elsewhere() -> int:
        torch.rand(1)
        return 7

    with torch.random.fork_rng(devices=[]):
        assert undisturbed(pipe, draws_elsewhere, lambda first, second: first == second) == 7


def test_another_batch_size_is_another_profile(shared: Load) -> None:
    """The profile names the batch shape, the precision, the threads and the versions that decide bits."""
    model, renderer = shared("sd")
    variant = request_of(model).variant
    profile = renderer.profile(variant, batch_size=BATCH)
    assert (profile.device, profile.batch_size, profile.precision, profile.threads) == ("cpu", BATCH, "fp32", 1)
    assert profile.versions["torch"] == torch.__version__
    assert {"diffusers", "transformers", "torchvision", "invisible_watermark"} <= set(profile.versions)
    assert profile != renderer.profile(variant, batch_size=BATCH + 1)


def test_decoding_beside_denoising_changes_nothing(shared: Load) -> None:
    """A batch decoded by another thread while the next one denoises has the bytes it has alone."""
    from concurrent.futures import ThreadPoolExecutor

    model, renderer = shared("sd")
    requests = [request_of(model, seed=seed, steps=3) for seed in range(6)]
    expected = [draw(renderer, [request])[0] for request in requests]
    with ThreadPoolExecutor(1) as decoder:
        waiting = [
            decoder.submit(renderer.decode, renderer.denoise([request], batch_size=BATCH)) for request in requests
        ]
        got = [future.result()[0].pixels for future in waiting]
    assert all(np.array_equal(first, second) for first, second in zip(expected, got, strict=True))
