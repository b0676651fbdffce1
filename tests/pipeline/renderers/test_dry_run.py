"""Counting without numbers: the file that ships is what the script counts today."""

import json
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path

import diffusers
import pytest
import torch

from jobs.planning.model_parts import folder_parts
from pipeline.errors import ModelError
from pipeline.estimates import memory
from pipeline.renderers.diffusion.decoding import micro_batch
from pipeline.renderers.diffusion.renderer import TEXT_CACHE_BYTES
from pipeline.renderers.dry_run.__main__ import count_file
from pipeline.renderers.dry_run.building import build
from pipeline.renderers.dry_run.calls import decode, denoise
from pipeline.renderers.dry_run.counting import count_component
from pipeline.renderers.dry_run.live_bytes import LiveBytes
from tests.pipeline.renderers.asking import variant_of
from tests.pipeline.renderers.conftest import Load

CONFIGS = Path(str(files("configs")))


@pytest.mark.parametrize("name", ["unet-shapes", "vae-shapes", "clip-shapes", "clip-l"])
def test_shipped_counts_are_what_the_script_counts(name: str) -> None:
    """To the byte and the operation, with the libraries that are installed."""
    shipped = json.loads((CONFIGS / "model_counts.json").read_bytes())["components"]
    assert count_file(CONFIGS / "models" / "architectures" / f"{name}.json") == shipped[name]


@pytest.mark.parametrize("name", ["sd_checked", "sdxl", "sd3", "pixart"])
def test_dry_run_tells_what_a_real_run_takes(name: str, tiny_folder: Callable[[str], Path]) -> None:
    """Of every family: weights as the headers have them, and the bytes of one real forward and decode."""
    parts = folder_parts(tiny_folder(name), width=64, height=64)
    pipe = diffusers.DiffusionPipeline.from_pretrained(tiny_folder(name), local_files_only=True)
    models = {key: one for key, one in pipe.components.items() if isinstance(one, torch.nn.Module)}
    backbone = models["unet" if "unet" in models else "transformer"]
    assert len(parts.others) == (1 if name == "sd_checked" else 0)
    assert len(models) == 2 + len(parts.text_encoders) + len(parts.others)
    shape = {
        "rows": 1,
        "width": 64,
        "height": 64,
        "pixels_per_latent": 2 ** (len(pipe.vae.config.block_out_channels) - 1),
    }
    for model, part, run in (
        (backbone, parts.denoiser, partial(denoise, tokens=parts.denoiser.tokens)),
        (models["vae"], parts.decoder, decode),
    ):
        held = sum(one.numel() for one in (*model.parameters(), *model.buffers()))
        assert sum(one.numel() for one in model.parameters()) <= part.parameters <= held
        live = LiveBytes([*model.parameters(), *model.buffers()])
        with live:
            run(model, **shape)
        assert 2 * part.activation_bytes(64 * 64, 1) == pytest.approx(live.peak, rel=1e-3)


def test_bytes_live_until_nobody_holds_them() -> None:
    """A tensor that is dropped makes room; one that was there before never counts."""
    weights = torch.zeros(1000)
    live = LiveBytes([weights])
    with live:
        first = weights + 1
        second = first + 1
        del first
        third = second.view(10, 100) + weights.view(10, 100)
        del second, third
        weights + 2
    assert live.peak == 2 * 4000


def test_part_that_cannot_be_run_is_named() -> None:
    """With what can be done instead."""
    with pytest.raises(ModelError, match="NoSuchModel: diffusers has no such class"):
        count_component("NoSuchModel", {}, sizes=[(64, 64)])
    with pytest.raises(ModelError, match="AutoencoderKL: known are FluxTransformer2DModel"):
        count_component("AutoencoderKL", {}, sizes=[(64, 64)], tokens=77)


def test_plan_decodes_and_keeps_what_the_renderer_does(shared: Load) -> None:
    """The constants of the plan are those of the renderer."""
    model, _ = shared("sd")
    assert memory.TEXT_BYTES == TEXT_CACHE_BYTES
    for batch in (1, 2, 3, 6, 8):
        for side in (64, 512, 1024, 2048):
            shape = variant_of(model, width=side, height=side)
            assert memory.decoded_at_once(batch, side * side) == micro_batch(batch, shape, "cuda")


@pytest.mark.gpu
def test_dry_run_is_what_a_gpu_takes() -> None:
    """One forward of SDXL's UNet with made-up weights: within 15 % and the workspaces of a plan."""
    written = json.loads((CONFIGS / "models" / "architectures" / "unet-sdxl.json").read_bytes())
    shipped = json.loads((CONFIGS / "model_counts.json").read_bytes())["components"]["unet-sdxl"]
    (point,) = [one for one in shipped["points"] if one["width"] == 1024]
    with torch.device("cuda"):
        model = build(written["class"], written["config"])
        weights = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        denoise(model, rows=1, width=1024, height=1024, pixels_per_latent=8, tokens=77)
    taken = torch.cuda.max_memory_allocated() - weights
    assert 0.85 * point["bytes"] <= taken <= 1.15 * point["bytes"] + memory.RUNTIME_BYTES
