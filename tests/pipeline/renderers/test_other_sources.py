"""Single-file checkpoints, and pipelines of families that we know only by their call."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from pipeline.errors import BadRequestError, ModelError, ModelUnavailableError
from pipeline.ports import Renderer
from pipeline.renderers.diffusion.kind import DiffusersKind
from tests.pipeline.renderers import tiny
from tests.pipeline.renderers.asking import request_of
from tests.pipeline.renderers.ldm import save_single_file

Folder = Callable[[str], Path]


@pytest.fixture
def single_file(tiny_folder: Folder, tmp_path: Path) -> Path:
    """The tiny SD model as one file in the original layout."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(tiny_folder("sd"))
    return save_single_file(pipe, tmp_path / "tiny.safetensors")


@pytest.fixture
def lcm(tmp_path: Path) -> Iterator[tuple[Any, Renderer]]:
    """A latent consistency model, whose pipeline none of our families names."""
    folder = tiny.lcm(tmp_path / "lcm")
    model = DiffusersKind().resolve(str(folder))
    renderer = DiffusersKind().load(model, device="cpu", threads=1)
    yield model, renderer
    renderer.close()


def pixels(renderer: Renderer, *requests: Any) -> list[Any]:
    """The pictures of one batch."""
    return [picture.pixels for picture in renderer.decode(renderer.denoise(requests, batch_size=len(requests)))]


def test_a_single_file_renders_what_its_folder_renders(single_file: Path, tiny_folder: Folder, tmp_path: Path) -> None:
    """Weights from the file, configurations and tokenizers from a folder without weights: the same bytes."""
    kind = DiffusersKind()
    configs = tmp_path / "configs"
    shutil.copytree(tiny_folder("sd"), configs, ignore=shutil.ignore_patterns("*.safetensors"))
    drawn = []
    for model in (kind.resolve(str(single_file), config=str(configs)), kind.resolve(str(tiny_folder("sd")))):
        renderer = kind.load(model, device="cpu", threads=1)
        drawn += pixels(renderer, request_of(model))
        renderer.close()
    assert np.array_equal(drawn[0], drawn[1])


def test_a_single_file_needs_its_configurations(single_file: Path, tiny_folder: Folder, tmp_path: Path) -> None:
    """Without them, pickled or missing, it is refused with the remedy; its content is its revision."""
    kind = DiffusersKind()
    with pytest.raises(ModelError, match="set the model option config"):
        kind.resolve(str(single_file))
    with pytest.raises(ModelError, match="no such file"):
        kind.resolve(str(tmp_path / "none.safetensors"))
    (tmp_path / "old.ckpt").write_bytes(b"pickle")
    with pytest.raises(ModelError, match="must be safetensors"):
        kind.resolve(str(tmp_path / "old.ckpt"))
    before = kind.resolve(str(single_file), config=str(tiny_folder("sd"))).revision
    single_file.write_bytes(single_file.read_bytes()[:-1] + b"\1")
    assert kind.resolve(str(single_file), config=str(tiny_folder("sd"))).revision != before


def test_an_unknown_pipeline_is_driven_by_its_own_call(lcm: tuple[Any, Renderer]) -> None:
    """One image at a time, so without neighbours: exactly what a plain call gives."""
    model, renderer = lcm
    assert renderer.batch_size(request_of(model).variant) == 1
    requests = [request_of(model, prompt=f"cat {seed}", seed=seed) for seed in range(2)]
    pipe = diffusers.DiffusionPipeline.from_pretrained(model.source)
    for request, ours in zip(requests, pixels(renderer, *requests), strict=True):
        own = pipe(
            request.prompt,
            generator=torch.Generator().manual_seed(request.seed),
            width=request.variant.width,
            height=request.variant.height,
            num_inference_steps=request.variant.steps,
            guidance_scale=request.variant.guidance_scale,
            output_type="np",
        ).images
        assert np.array_equal((own[0] * 255).round().astype(np.uint8), ours)


def test_an_unknown_pipeline_drops_nothing_in_silence(lcm: tuple[Any, Renderer]) -> None:
    """What its call cannot take is refused: here a negative prompt."""
    model, renderer = lcm
    with pytest.raises(BadRequestError, match="no negative prompt"):
        renderer.denoise([request_of(model, negative="blurry")], batch_size=1)


def test_a_pipeline_that_we_would_have_to_guess_is_refused(tiny_folder: Folder) -> None:
    """No size, guidance under another name: a clear refusal at load, never a picture of something else."""
    kind = DiffusersKind()
    for class_name in ("QwenImagePipeline", "NoSuchPipeline", "AutoencoderKL"):
        model = kind.resolve(str(tiny_folder("sd")), pipeline=class_name)
        with pytest.raises(ModelUnavailableError) as caught:
            kind.load(model, device="cpu", threads=1)
        assert "\n" not in str(caught.value)


def test_a_single_file_goes_straight_to_the_device(single_file: Path, tiny_folder: Folder) -> None:
    """What loading relies on: denoiser and VAE are made on the device that diffusers is told, and never on the CPU."""
    pipe = diffusers.StableDiffusionPipeline.from_single_file(
        str(single_file), config=str(tiny_folder("sd")), device="meta", local_files_only=True
    )
    assert {parameter.device.type for parameter in pipe.unet.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in pipe.vae.parameters()} == {"meta"}
