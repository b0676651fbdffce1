"""The distilled LoRAs of the shipped profiles: `performance: max` finds them on the hub, and renders with them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import diffusers
import peft
import pytest
import torch

from jobs.freezing import freeze
from jobs.jobfile.loading import Options, load
from jobs.profiles import profile_names, read_profile
from pipeline.distilled import distilled_of
from pipeline.renderers.diffusion.families import FAMILIES
from pipeline.renderers.diffusion.schedulers import scheduler_problem
from pipeline.renderers.table import renderer_kind
from tests.pipeline.renderers.hub_server import COMMIT, Hub, serve

WITH_ONE = [name for name in profile_names() if (found := read_profile(name)) and found.distilled]


def save_lora(folder: Path, pipeline: Path, name: str) -> None:
    """A LoRA of random weights for this pipeline's UNet, under the name that the shipped profile gives."""
    unet = diffusers.UNet2DConditionModel.from_pretrained(pipeline / "unet")
    unet.add_adapter(peft.LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"]))
    layers = peft.utils.get_peft_model_state_dict(unet)
    source = torch.Generator().manual_seed(1)
    layers = {key: torch.randn(layer.shape, generator=source) for key, layer in layers.items()}
    diffusers.StableDiffusionXLPipeline.save_lora_weights(folder, unet_lora_layers=layers, weight_name=name)


@pytest.fixture
def hub(tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a tiny SDXL under the name of the true one, and the LoRA that the profile names."""
    profile = read_profile("sdxl")
    assert profile is not None
    assert profile.distilled is not None
    owner, repository, file = profile.distilled.lora.split("/")
    pipeline = Path(shutil.copytree(tiny_folder("sdxl"), tmp_path / "hub-sdxl"))
    save_lora(tmp_path / "hub-lora", pipeline, file)
    for name in ("HF_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serve(Hub({profile.source: pipeline, f"{owner}/{repository}": tmp_path / "hub-lora"})) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def write_job(folder: Path) -> str:
    """A job of one small picture under `performance: max`, which nobody told of any LoRA."""
    (folder / "prompts.jsonl").write_text('{"prompt": "a red cat", "steps": 30, "width": 64, "height": 64}\n')
    path = folder / "job.yaml"
    path.write_text(
        "manifest: prompts.jsonl\nstore: out\nmodel: sdxl\nprecision: fp32\n"
        "performance: {profile: max, quantization: none, compile: off}\n"
    )
    return str(path)


def test_sdxl_under_max_renders_four_steps_with_the_lora_of_its_profile(hub: Hub, tmp_path: Path) -> None:
    """Pinned to a commit at submit, its steps and scheduler in the request; the worker merges it and draws."""
    with freeze(load(write_job(tmp_path), Options()), environ={}, stdin=None) as frozen:
        (variant,) = frozen.job.variants
        (model,) = frozen.job.models
        request = frozen.table().rows([0])[0].request
        warnings = frozen.warnings
    assert (variant.steps, variant.guidance_scale, variant.scheduler) == (4, 0.0, "euler_trailing")
    distilled = distilled_of(model)
    assert distilled is not None
    name = "sdxl_lightning_4step_lora.safetensors"
    assert distilled.lora.revision == f"hub:ByteDance/SDXL-Lightning@{COMMIT}#{name}"
    assert any("renders 4 steps at guidance 0" in warning for warning in warnings)
    assert name not in hub.downloads
    renderer = renderer_kind("diffusers").load(model, device="cpu", threads=1)
    steps: list[int] = []
    renderer._pipe.unet.register_forward_hook(lambda *_: steps.append(1))  # type: ignore[attr-defined]  # noqa: SLF001 - counts passes
    (picture,) = renderer.decode(renderer.denoise([request], batch_size=1))
    renderer.close()
    assert (len(steps), picture.pixels.shape) == (4, (64, 64, 3))
    assert hub.downloads.count(name) == 1


def test_lora_that_the_hub_has_not_is_gone_without_and_said(hub: Hub, tmp_path: Path) -> None:
    """`max` did not ask for it by name: the job is rendered with its own steps, and a warning tells why."""
    hub.repositories = {name: folder for name, folder in hub.repositories.items() if "Lightning" not in name}
    with freeze(load(write_job(tmp_path), Options()), environ={}, stdin=None) as frozen:
        (variant,) = frozen.job.variants
        assert (variant.steps, variant.loras) == (30, ())
        assert any("goes without a distilled LoRA" in warning for warning in frozen.warnings)


@pytest.mark.parametrize("name", WITH_ONE)
def test_shipped_choice_goes_with_its_model(name: str) -> None:
    """Its scheduler fits the family, its steps are few."""
    profile = read_profile(name)
    assert profile is not None
    assert profile.distilled is not None
    family = next(one for one in FAMILIES if one.name == ("sdxl" if name.startswith("sdxl") else "sd"))
    assert scheduler_problem(family, {}, profile.distilled.scheduler) is None
    assert profile.distilled.steps <= 8
    assert profile.distilled.guidance_scale <= 1


def test_models_of_most_jobs_have_one() -> None:
    """SD 1.5 and SDXL; transformers have none yet."""
    assert {"sd15", "sdxl"} <= set(WITH_ONE)
