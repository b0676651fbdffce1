"""The attention lever sets what the model really runs on, is told in the record, and refused where it cannot be had."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from pipeline.errors import ModelUnavailableError
from pipeline.performance import PROFILES, Levers
from pipeline.renderers.diffusion.attention import check_attention, choose_attention
from pipeline.renderers.diffusion.families import OTHER, family_of
from pipeline.renderers.diffusion.lever_limits import lever_problem
from pipeline.renderers.table import renderer_kind
from tests.pipeline.renderers.asking import request_of
from tests.pipeline.renderers.test_levers import LEAST_PSNR, psnr


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """The switches are the process's, and other tests hold loaded models."""
    yield
    choose_attention("auto")


@pytest.mark.parametrize("name", ["sd", "flux"])
def test_model_runs_on_the_kernel_that_was_asked_for(tiny_folder: Callable[[str], Path], name: str) -> None:
    """A UNet too, on which diffusers' own switch does nothing: torch's profiler sees the kernel, and no other one."""
    kind = renderer_kind("diffusers")
    drawn = {}
    for attention in ("auto", "math"):
        model = kind.resolve(str(tiny_folder(name)))
        levers = replace(PROFILES["plain"], attention=attention)
        model = replace(model, options=model.options | levers.options())
        renderer = kind.load(model, device="cpu", threads=1)
        request = request_of(model, prompt="a red cat", seed=7, steps=2)
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            pictures = renderer.decode(renderer.denoise([request], batch_size=1))
        ran = {event.key for event in seen.key_averages()}
        assert ("aten::_scaled_dot_product_flash_attention_for_cpu" in ran) == (attention == "auto")
        assert ("aten::_scaled_dot_product_attention_math" in ran) == (attention == "math")
        told = renderer.profile(request.variant, batch_size=1).levers
        assert told == (() if attention == "auto" else ("attention_math",))
        drawn[attention] = (request.image_id, pictures[0].pixels.astype(float))
        renderer.close()
    assert drawn["auto"][0] == drawn["math"][0]
    assert psnr(drawn["auto"][1], drawn["math"][1]) >= LEAST_PSNR["compiled"]
    assert np.isfinite(drawn["math"][1]).all()


def test_next_model_of_a_process_has_its_own_choice(tiny_folder: Callable[[str], Path]) -> None:
    """What one model was loaded with is undone when the next one is."""
    kind = renderer_kind("diffusers")
    model = kind.resolve(str(tiny_folder("sd")))
    usual = list(torch._C._get_sdp_priority_order())  # noqa: SLF001 - there is no public question
    chosen = replace(model, options=model.options | replace(PROFILES["plain"], attention="math").options())
    kind.load(chosen, device="cpu", threads=1).close()
    assert not torch.backends.cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]
    kind.load(model, device="cpu", threads=1).close()
    assert torch.backends.cuda.flash_sdp_enabled()  # type: ignore[no-untyped-call]
    assert list(torch._C._get_sdp_priority_order()) == usual  # noqa: SLF001


def test_kernel_that_this_device_lacks_is_refused_by_the_worker(tiny_folder: Callable[[str], Path]) -> None:
    """Never rendered on another one in silence, where the submit did not know the GPU."""
    kind = renderer_kind("diffusers")
    model = kind.resolve(str(tiny_folder("sd")))
    chosen = replace(model, options=model.options | replace(PROFILES["plain"], attention="efficient").options())
    with pytest.raises(ModelUnavailableError, match=r"efficient does not take heads of .* use attention: auto"):
        kind.load(chosen, device="cpu", threads=1)


def test_check_asks_for_every_width_of_head() -> None:
    """A denoiser without attention of its own is no reason to refuse."""
    check_attention(torch.nn.Linear(2, 2), "efficient", device="cpu")


@pytest.mark.parametrize(
    ("pipeline", "kind", "gpus", "precision", "remedy"),
    [
        ("StableDiffusionXLPipeline", "flash", {"L4"}, "fp16", None),
        ("StableDiffusionXLPipeline", "flash", {"T4", "L4"}, "fp16", "use efficient or auto"),
        ("StableDiffusionXLPipeline", "flash", {"L4"}, "fp32", "use efficient or auto"),
        ("StableDiffusionXLPipeline", "efficient", {"T4"}, "fp32", None),
        ("StableDiffusionXLPipeline", "cudnn", {"cpu"}, "fp32", "use flash, math or auto"),
        ("StableDiffusionXLPipeline", "flash", {"cpu"}, "fp32", None),
        ("PixArtSigmaPipeline", "flash", {"L4"}, "fp16", "use efficient or auto"),
        ("PixArtSigmaPipeline", "efficient", {"L4"}, "fp16", None),
    ],
)
def test_kernel_is_refused_at_submit_with_the_alternatives(
    pipeline: str, kind: str, gpus: set[str], precision: str, remedy: str | None
) -> None:
    """By GPU, precision and masks, before anything is rented."""
    found = lever_problem(family_of(pipeline), Levers(attention=kind), gpus=gpus, precision=precision)
    assert (found is None) if remedy is None else (found is not None and found[0] == "attention" and remedy in found[1])


def test_pipeline_that_nobody_knows_keeps_its_attention() -> None:
    """Of a pipeline that is only called nothing is set."""
    found = lever_problem(OTHER, Levers(attention="flash"), gpus={"L4"})
    assert found is not None
    assert "use attention: auto" in found[1]


def test_lever_that_is_not_used_is_not_told() -> None:
    """So what a store has learned of batch sizes before there was this lever stays true."""
    assert "lever_attention" not in Levers().options()
    assert Levers(attention="flash").options()["lever_attention"] == "flash"
