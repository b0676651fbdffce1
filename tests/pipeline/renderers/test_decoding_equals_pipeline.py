"""Our pictures are the pipeline's own, bit for bit, for every family."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from pipeline.ports import Renderer
from pipeline.renderers.diffusion.decoding import decode_batch, micro_batch
from pipeline.renderers.diffusion.encoding import TextCache
from pipeline.renderers.diffusion.families import family_of
from pipeline.request import Request
from tests.pipeline.renderers import tiny
from tests.pipeline.renderers.asking import request_of, variant_of
from tests.pipeline.renderers.conftest import Load
from tests.pipeline.renderers.tiny_parts import SIZE

WITHOUT_NEGATIVE = ("flux", "flux_schnell")
NEGATIVE = "blurry"


def own_pipe(folder: Path) -> Any:
    """The pipeline as a user loads it."""
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def own_images(folder: Path, requests: Sequence[Request], **more: Any) -> Any:
    """What a user gets from diffusers for these requests, called with plain texts and `output_type="np"`."""
    negatives = [request.negative_prompt for request in requests]
    texts: dict[str, Any] = {"prompt": [request.prompt for request in requests]}
    if any(negatives):
        texts["negative_prompt"] = negatives
    return own_call(own_pipe(folder), requests, **texts, **more)


def own_call(pipe: Any, requests: Sequence[Request], **more: Any) -> Any:
    """The pipeline's own call with `output_type="np"`."""
    variant = requests[0].variant
    return pipe(
        generator=[torch.Generator("cpu").manual_seed(request.seed) for request in requests],
        width=variant.width,
        height=variant.height,
        num_inference_steps=variant.steps,
        guidance_scale=variant.guidance_scale,
        output_type="np",
        **more,
    )


def own_arguments(name: str) -> dict[str, Any]:
    """What the call of a family needs so that it depends on no optional library, and knows its shapes."""
    if not name.startswith("pixart"):
        return {}
    return {"clean_caption": False, "use_resolution_binning": name == "pixart_binned"}


def pixels(renderer: Renderer, requests: Sequence[Request], batch_size: int) -> Any:
    """Our pictures of one batch."""
    return np.stack([picture.pixels for picture in renderer.decode(renderer.denoise(requests, batch_size=batch_size))])


@pytest.mark.parametrize("name", sorted(tiny.FAMILIES))
def test_one_image_is_the_pipelines_own(name: str, tiny_folder: Callable[[str], Path], shared: Load) -> None:
    """Text, noise, steps and decoding of a single request give exactly the bytes of a plain call."""
    model, renderer = shared(name)
    requests = [request_of(model, negative="" if name in WITHOUT_NEGATIVE else NEGATIVE)]
    own = own_images(tiny_folder(name), requests, **own_arguments(name)).images
    ours = pixels(renderer, requests, 1)
    assert ours.shape == (1, SIZE, SIZE, 3)
    assert np.array_equal(ours, (own * 255).round().astype(np.uint8))


@pytest.mark.parametrize("name", sorted(set(tiny.FAMILIES) - {"pixart_binned"}))
def test_a_batch_is_decoded_as_the_pipeline_decodes_it(
    name: str, tiny_folder: Callable[[str], Path], shared: Load
) -> None:
    """A batch whose texts were encoded one by one ends, in the pipeline's own call, in exactly the same bytes."""
    model, renderer = shared(name)
    requests = [request_of(model, prompt=f"cat {seed}", seed=seed) for seed in range(3)]
    pipe = own_pipe(tiny_folder(name))
    texts = TextCache(pipe, family_of(model.pipeline_class), limit_bytes=1 << 20).arguments(requests)
    nothing = {"negative_prompt": None} if name.startswith("pixart") else {}
    own = own_call(pipe, requests, **texts, **nothing, **own_arguments(name)).images
    ours = pixels(renderer, requests, 3)
    assert np.array_equal(ours, (own * 255).round().astype(np.uint8))


def test_no_guidance_means_no_negative_text(tiny_folder: Callable[[str], Path], shared: Load) -> None:
    """At a guidance of 1 the Stable Diffusions draw without a negative text, as their own call does."""
    for name in ("sd", "sdxl", "sd3", "pixart"):
        model, renderer = shared(name)
        requests = [request_of(model, guidance_scale=1.0)]
        own = own_images(tiny_folder(name), requests, **own_arguments(name)).images
        assert np.array_equal(pixels(renderer, requests, 1), (own * 255).round().astype(np.uint8)), name


def test_sdxl_vae_is_upcast_as_the_pipeline_upcasts_it(tiny_folder: Callable[[str], Path], load: Load) -> None:
    """In half precision the VAE that asks for it decodes in fp32, with the pipeline's own bytes."""
    model, renderer = load("sdxl", precision="fp16")
    requests = [request_of(model)]
    pipe = own_pipe(tiny_folder("sdxl")).to(dtype=torch.float16)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`upcast_vae` is deprecated")
        own = own_call(pipe, requests, prompt=[requests[0].prompt]).images
    assert np.isfinite(own).all()
    assert np.array_equal(pixels(renderer, requests, 1), (own * 255).round().astype(np.uint8))


def test_safety_checker_blanks_and_says_so(tiny_folder: Callable[[str], Path], shared: Load) -> None:
    """A picture that the model's own checker blanks is black and marked; one that it lets pass is neither."""
    for name, blanked in (("sd_prudish", True), ("sd_checked", False), ("sd", False)):
        model, renderer = shared(name)
        (picture,) = renderer.decode(renderer.denoise([request_of(model)], batch_size=1))
        assert picture.blanked is blanked
        assert picture.finite
        assert (picture.pixels.max() == 0) is np.bool_(blanked)
        own = own_images(tiny_folder(name), [request_of(model)])
        assert bool(own.nsfw_content_detected and own.nsfw_content_detected[0]) is blanked


def test_watermark_is_drawn_as_the_pipeline_draws_it(tiny_folder: Callable[[str], Path], load: Load) -> None:
    """Where SDXL has a watermark, ours has it too, before the pictures become bytes."""

    class Stripe:
        """A watermark that anybody can see."""

        def apply_watermark(self, images: torch.Tensor) -> torch.Tensor:
            """White first row."""
            images = images.clone()
            images[:, :, 0, :] = 1.0
            return images

    model, renderer = load("sdxl")
    pipe = renderer._pipe  # type: ignore[attr-defined]  # noqa: SLF001 - the watermark library is not installed
    pipe.watermark = Stripe()
    drawn = pixels(renderer, [request_of(model)], 1)
    plain = own_images(tiny_folder("sdxl"), [request_of(model)]).images
    assert (drawn[:, 0] == 255).all()
    assert np.array_equal(drawn[:, 1:], (plain[:, 1:] * 255).round().astype(np.uint8))


def test_a_broken_decoder_is_told_before_bytes_hide_it(shared: Load) -> None:
    """NaN among a picture's values is reported although bytes cannot hold it; its neighbour stays sound."""
    model, renderer = shared("sd")
    pipe = renderer._pipe  # type: ignore[attr-defined]  # noqa: SLF001 - latents as a broken denoiser leaves them
    latents = torch.zeros(2, 4, 8, 8)
    latents[1] = float("nan")
    family = family_of(model.pipeline_class)
    first, second = decode_batch(pipe, family, latents, variant_of(model), count=2, text_dtype=torch.float32)
    assert first.finite
    assert not second.finite


def test_micro_batches_divide_the_batch(shared: Load) -> None:
    """The decoder's shapes follow from batch and size alone, so that every batch of a task is decoded alike."""
    model, _ = shared("sd")
    assert micro_batch(8, variant_of(model), "cpu") == 8
    assert micro_batch(6, variant_of(model, width=512, height=512), "cpu") == 3
    assert micro_batch(8, variant_of(model, width=1024, height=1024), "cpu") == 1
    assert micro_batch(8, variant_of(model, width=1024, height=1024), "cuda") == 2
    assert micro_batch(7, variant_of(model, width=4096, height=4096), "cuda") == 1
