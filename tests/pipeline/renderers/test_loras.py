"""LoRAs act exactly where a request asks for them, in any history, and only the file that was frozen."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import peft
import pytest
import torch

from pipeline.distilled import Distilled, distilled_values
from pipeline.errors import BadRequestError, ModelError
from pipeline.ports import Renderer
from pipeline.renderers.diffusion.loras import resolve_lora
from pipeline.renderers.table import renderer_kind
from pipeline.request import Lora, Request
from tests.pipeline.renderers.asking import request_of
from tests.pipeline.renderers.conftest import Load

Folder = Callable[[str], Path]


@pytest.fixture
def lora_file(tiny_folder: Folder, tmp_path: Path) -> Callable[[int], Path]:
    """A LoRA for the attention of the tiny SD UNet, of random weights that differ by seed."""

    def written(seed: int) -> Path:
        unet = diffusers.UNet2DConditionModel.from_pretrained(tiny_folder("sd") / "unet")
        unet.add_adapter(peft.LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"]))
        layers = peft.utils.get_peft_model_state_dict(unet)
        source = torch.Generator().manual_seed(seed)
        layers = {name: torch.randn(layer.shape, generator=source) for name, layer in layers.items()}
        folder = tmp_path / f"lora{seed}"
        diffusers.StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
        return folder / "pytorch_lora_weights.safetensors"

    return written


def draw(renderer: Renderer, request: Request) -> Any:
    """One picture."""
    return renderer.decode(renderer.denoise([request], batch_size=1))[0].pixels


def test_a_lora_acts_when_asked_and_leaves_no_trace(load: Load, lora_file: Callable[[int], Path]) -> None:
    """Bare, with one, with two, and back again: each as the first time, and as diffusers itself draws it."""
    model, renderer = load("sd")
    first = resolve_lora(str(lora_file(1)), scale=0.7)
    second = resolve_lora(str(lora_file(2).parent), scale=0.4)
    asked: list[tuple[Lora, ...]] = [(), (first,), (first, second)]
    drawn = [draw(renderer, request_of(model, loras=loras)) for loras in asked]
    assert len({picture.tobytes() for picture in drawn}) == 3
    for loras, picture in reversed(list(zip(asked, drawn, strict=True))):
        assert np.array_equal(draw(renderer, request_of(model, loras=loras)), picture)

    pipe = diffusers.StableDiffusionPipeline.from_pretrained(model.source)
    pipe.load_lora_weights(Path(first.source).parent, weight_name=Path(first.source).name, adapter_name="x")
    pipe.set_adapters(["x"], [0.7])
    request = request_of(model)
    own = pipe(
        request.prompt, generator=torch.Generator().manual_seed(7), width=64, height=64, num_inference_steps=2,
        output_type="np",
    ).images  # fmt: skip
    assert np.array_equal((own[0] * 255).round().astype(np.uint8), drawn[1])


def test_only_so_many_loras_stay_loaded(load: Load, lora_file: Callable[[int], Path]) -> None:
    """A job with many LoRAs does not fill the device: those needed longest ago are dropped, and come back the same."""
    model, renderer = load("sd")
    loras = [resolve_lora(str(lora_file(seed))) for seed in range(11)]
    first = draw(renderer, request_of(model, loras=(loras[0],)))
    for lora in loras[1:]:
        draw(renderer, request_of(model, loras=(lora,)))
    kept = renderer._pipe.get_list_adapters()["unet"]  # type: ignore[attr-defined]  # noqa: SLF001 - what is on the device
    assert len(kept) == 8
    assert np.array_equal(draw(renderer, request_of(model, loras=(loras[0],))), first)


def test_a_lora_of_another_model_is_refused_not_ignored(load: Load, lora_file: Callable[[int], Path]) -> None:
    """Where diffusers loads nothing from weights that do not fit and only logs it, we refuse the request."""
    model, renderer = load("sd3")
    with pytest.raises(BadRequestError, match="LoRA"):
        renderer.denoise([request_of(model, loras=(resolve_lora(str(lora_file(1))),))], batch_size=1)


def test_a_lora_that_changed_since_submit_is_refused(load: Load, lora_file: Callable[[int], Path]) -> None:
    """The file under a frozen name must hold the frozen content."""
    model, renderer = load("sd")
    path = lora_file(1)
    lora = resolve_lora(str(path))
    path.write_bytes(lora_file(2).read_bytes())
    with pytest.raises(BadRequestError, match="changed since the job was submitted"):
        renderer.denoise([request_of(model, loras=(lora,))], batch_size=1)


def test_only_one_safetensors_file_is_a_lora(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickled, missing and ambiguous ones are refused with the remedy."""
    (tmp_path / "old.pt").write_bytes(b"pickle")
    for source, why in (
        (tmp_path, "holds no safetensors file"),
        (tmp_path / "old.pt", "must be safetensors"),
        (tmp_path / "missing.safetensors", "no such file or folder"),
    ):
        with pytest.raises(ModelError, match=why):
            resolve_lora(str(source))
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="several safetensors"):
        resolve_lora(str(tmp_path))


def test_distilled_model_carries_its_lora_in_its_weights(
    tiny_folder: Folder, lora_file: Callable[[int], Path], request: pytest.FixtureRequest
) -> None:
    """It draws what the LoRA draws as an adapter, also beside a row's own; no step pays for an adapter."""
    kind = renderer_kind("diffusers")
    plain = kind.resolve(str(tiny_folder("sd")))
    first, second = resolve_lora(str(lora_file(1)), scale=0.05), resolve_lora(str(lora_file(2)), scale=0.04)
    distilled = Distilled(lora=first, steps=3, guidance_scale=1.0, scheduler="lcm")
    model = replace(plain, distilled=distilled_values(distilled))
    merged, adapted = (kind.load(one, device="cpu", threads=1) for one in (model, plain))
    for renderer in (merged, adapted):
        request.addfinalizer(renderer.close)
    for loras in [(first,), (first, second)]:
        asked = request_of(model, loras=loras, steps=3, guidance_scale=1.0, scheduler="lcm")
        error = draw(merged, asked).astype(float) - draw(adapted, asked)
        assert np.abs(error).max() <= 2
    bare = request_of(model, loras=(first,), steps=3, guidance_scale=1.0, scheduler="lcm")
    assert not np.array_equal(draw(merged, bare), draw(adapted, replace(bare, variant=replace(bare.variant, loras=()))))


def test_distilled_lora_and_quantization_go_together(
    tiny_folder: Folder, lora_file: Callable[[int], Path], request: pytest.FixtureRequest
) -> None:
    """What is quantized is the sum of both."""
    kind = renderer_kind("diffusers")
    lora = resolve_lora(str(lora_file(1)), scale=0.05)
    plain = kind.resolve(str(tiny_folder("sd")))
    distilled = distilled_values(Distilled(lora=lora, steps=3, guidance_scale=1.0, scheduler="lcm"))
    model = replace(plain, distilled=distilled)
    quantized = replace(model, levers={"quantization": "int8"})
    one, other = (kind.load(each, device="cpu", threads=1) for each in (model, quantized))
    for renderer in (one, other):
        request.addfinalizer(renderer.close)
    asked = request_of(model, loras=(lora,), steps=3, guidance_scale=1.0, scheduler="lcm")
    both = replace(asked, variant=replace(asked.variant, quantization="int8"))
    error = draw(one, asked).astype(float) - draw(other, both)
    assert 10 * np.log10(255**2 / (error**2).mean()) >= 25
