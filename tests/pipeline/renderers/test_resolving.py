"""Resolving freezes a folder quickly, reads its limits, and refuses what is unsafe, unknown or undetermined."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ModelError
from pipeline.model import Model
from pipeline.renderers.diffusion.kind import DiffusersKind
from tests.pipeline.renderers.asking import variant_of
from tests.pipeline.renderers.tiny_parts import SIZE

Folder = Callable[[str], Path]


@pytest.fixture
def copy(tiny_folder: Folder, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a tiny model that a test may change."""

    def copied(name: str) -> Path:
        return Path(shutil.copytree(tiny_folder(name), tmp_path / name))

    return copied


def change_json(path: Path, **values: Any) -> None:
    """Change members of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refusal(source: object, **options: object) -> str:
    """Why resolving refuses."""
    with pytest.raises(ModelError) as caught:
        DiffusersKind().resolve(str(source), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "unit", "tokens", "guidance"),
    [
        ("sd", 8, 77, 7.5),
        ("sdxl", 8, 77, 5.0),
        ("sd3", 2, 256, 7.0),
        ("flux", 4, 512, 3.5),
        ("flux_schnell", 4, 512, 0.0),
        ("pixart", 8, 300, 4.5),
        ("pixart_binned", 8, 120, 4.5),
    ],
)
def test_limits_and_defaults_come_from_the_configurations(
    name: str, unit: int, tokens: int, guidance: float, tiny_folder: Folder
) -> None:
    """Unit, text limit and defaults of every family."""
    model = DiffusersKind().resolve(str(tiny_folder(name)))
    assert (model.unit, model.max_prompt_tokens, model.guidance_scale) == (unit, tokens, guidance)
    assert (model.renderer, model.precision) == ("diffusers", "fp32")
    assert model.source == str(tiny_folder(name))
    assert model.revision.startswith("sha256:")
    assert model.width == model.height
    if name in ("sd", "sdxl", "sd3"):
        assert model.width == SIZE


def test_options_override_defaults(tiny_folder: Folder) -> None:
    """A profile's options win, as texts or as numbers."""
    options: dict[str, Any] = {"name": "mine", "width": "128", "height": 64, "steps": "9", "batch_size": 8}
    model = DiffusersKind().resolve(
        str(tiny_folder("sd")), **options, guidance_scale="3", scheduler="euler", precision="bf16"
    )
    assert (model.name, model.width, model.height, model.steps) == ("mine", 128, 64, 9)
    assert (model.batch_size, model.guidance_scale) == (8, 3.0)
    assert (model.scheduler, model.precision) == ("euler", "bf16")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"stps": 3}, "did you mean steps"),
        ({"steps": 0}, "whole number from 1"),
        ({"width": "wide"}, "whole number of pixels"),
        ({"width": 65}, "no multiple of 8"),
        ({"precision": "int8"}, "fp32, fp16 or bf16"),
        ({"guidance_scale": "nan"}, "number from 0"),
        ({"allow_pickle": "yes"}, "true or false"),
        ({"scheduler": "eulr"}, "did you mean euler"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], why: str, tiny_folder: Folder) -> None:
    """The message names the option and what it must be."""
    assert why in refusal(tiny_folder("sd"), **options)


def test_resolving_imports_no_torch(tiny_folder: Folder) -> None:
    """A submit understands a model without the seconds that torch, diffusers or transformers take to import."""
    program = (
        "import sys; from pipeline.renderers.table import renderer_kind\n"
        f"renderer_kind('diffusers').resolve({str(tiny_folder('sd'))!r})\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_revision_is_the_content(copy: Callable[[str], Path], tiny_folder: Folder) -> None:
    """A copy has the same revision; other weights or configurations another one; a README changes nothing."""
    folder = copy("sd")
    original = DiffusersKind().resolve(str(tiny_folder("sd"))).revision
    (folder / "README.md").write_text("hello")
    (folder / "samples").mkdir()
    (folder / "samples" / "cat.safetensors").write_bytes(b"no component")
    assert DiffusersKind().resolve(str(folder)).revision == original
    change_json(folder / "scheduler/scheduler_config.json", steps_offset=0)
    other = DiffusersKind().resolve(str(folder)).revision
    assert other != original
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert DiffusersKind().resolve(str(folder)).revision not in (original, other)


def test_pickled_weights_are_refused_unless_allowed(copy: Callable[[str], Path]) -> None:
    """Weights that can run code need an explicit option; beside safetensors they are ignored."""
    folder = copy("sd")
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"pickle")
    DiffusersKind().resolve(str(folder))
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    assert "allow_pickle: true" in refusal(folder)
    assert DiffusersKind().resolve(str(folder), allow_pickle="true").options["allow_pickle"] == "true"


def test_remote_code_is_refused_unless_allowed(copy: Callable[[str], Path]) -> None:
    """A pipeline of its own, a component of its own and `auto_map` all need an explicit option."""
    folder = copy("sd")
    (folder / "unet/my_unet.py").write_text("raise SystemExit")
    assert "allow_remote_code: true" in refusal(folder)
    (folder / "unet/my_unet.py").unlink()
    (folder / "pipeline.py").write_text("raise SystemExit")
    assert "pipeline.py is Python code" in refusal(folder)
    (folder / "pipeline.py").unlink()
    change_json(folder / "text_encoder/config.json", auto_map={"AutoModel": "x.Y"})
    assert "auto_map" in refusal(folder)
    assert DiffusersKind().resolve(str(folder), allow_remote_code=True).options["allow_remote_code"] == "true"
    change_json(folder / "model_index.json", _class_name=["mine", "StableDiffusionPipeline"])
    assert "pipeline of its own" in refusal(folder)


def test_variants_of_weights_are_chosen_by_name(copy: Callable[[str], Path]) -> None:
    """Weights that exist only as fp16 are used when the option says so, and are another revision."""
    folder = copy("sd")
    plain = DiffusersKind().resolve(str(folder)).revision
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.rename(folder / "unet/diffusion_pytorch_model.fp16.safetensors")
    assert "only as variant fp16" in refusal(folder)
    assert DiffusersKind().resolve(str(folder), variant="fp16").revision != plain


def test_what_is_no_text_to_image_model_is_refused(copy: Callable[[str], Path], tmp_path: Path) -> None:
    """No index, broken JSON, another task, nothing there at all: each has its own remedy."""
    assert "has no model_index.json" in refusal(tmp_path)
    assert "no such folder or file" in refusal("./nowhere/at/all")
    folder = copy("sd")
    change_json(folder / "model_index.json", _class_name="StableDiffusionInpaintPipeline")
    assert "needs more than a prompt" in refusal(folder)
    (folder / "model_index.json").write_text("{")
    assert "not valid JSON" in refusal(folder)


def test_a_vae_that_draws_noise_is_refused(copy: Callable[[str], Path]) -> None:
    """A decoder with randomness of its own could not be determined."""
    folder = copy("sd")
    change_json(folder / "model_index.json", vae=["diffusers", "ConsistencyDecoderVAE"])
    assert "draws noise while it decodes" in refusal(folder)


def test_a_models_own_undetermined_scheduler_is_refused(copy: Callable[[str], Path]) -> None:
    """Stochastic flow matching without a generator, and schedulers with randomness of their own."""
    folder = copy("flux")
    change_json(folder / "scheduler/scheduler_config.json", stochastic_sampling=True)
    assert "no image would be determined by its seed" in refusal(folder)
    assert DiffusersKind().resolve(str(folder), scheduler="flow_euler").scheduler == "flow_euler"
    folder = copy("sd")
    change_json(folder / "model_index.json", scheduler=["diffusers", "DPMSolverSDEScheduler"])
    assert "its own source of randomness" in refusal(folder)


def test_problems_of_a_variant_are_told_at_submit(tiny_folder: Folder) -> None:
    """Scheduler, guidance, size: what this model cannot do, with the remedy; None where it can."""
    kind = DiffusersKind()
    models: dict[str, Model] = {name: kind.resolve(str(tiny_folder(name))) for name in ("sd", "flux", "flux_schnell")}

    def problem(name: str, **changes: Any) -> str:
        return kind.problem(models[name], variant_of(models[name], **changes)) or ""

    assert problem("sd") == problem("flux") == problem("flux_schnell") == ""
    assert not problem("sd", scheduler="dpmpp_2m_karras", guidance_scale=0.0)
    assert "did you mean dpmpp_2m" in problem("sd", scheduler="DPM++2M")
    assert "not trained by flow matching" in problem("sd", scheduler="flow_euler")
    assert "use one of flow_euler" in problem("flux", scheduler="euler_a")
    assert "no image would be determined" in problem("flux", scheduler="flow_euler_sde")
    assert "set it to 0" in problem("flux_schnell", guidance_scale=3.5)
    assert "number from 0" in problem("sd", guidance_scale=float("nan"))
    assert "multiple of 4" in problem("flux", width=66)
    assert "pixels" in problem("sd", width=10_000, height=10_000)
    assert "precision" in problem("sd", precision="int4")
    rescaled = replace(models["sd"], options=models["sd"].options | {"zero_snr": "true"})
    assert "zero-SNR" in (kind.problem(rescaled, variant_of(rescaled, scheduler="pndm")) or "")
