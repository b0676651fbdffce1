"""Each lever does what it says, stays within its bound, and leaves an image independent of its neighbours."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch._inductor import config as inductor_config

from pipeline.errors import HandedBackError
from pipeline.model import Model
from pipeline.performance import PROFILES, Levers
from pipeline.ports import Compilable, Foreseeing, Interruptible, Renderer
from pipeline.renderers.diffusion.applying import fitting_memory
from pipeline.renderers.diffusion.families import OTHER, family_of
from pipeline.renderers.diffusion.lever_limits import lever_problem
from pipeline.renderers.table import renderer_kind
from pipeline.request import Request
from tests.pipeline.renderers.asking import request_of

LoadWith = Callable[..., tuple[Model, Renderer]]
"""`load_with(name, **levers)`: a tiny model with these levers pulled."""

_LEFT_ALONE = "this pipeline is known only by its call, so its parts are left alone; use "

LEAST_PSNR = {"int8": 25.0, "mag": 15.0, "compiled": 45.0}
"""Decibels to the plain image that a lever keeps at least, on tiny models with random weights."""


@pytest.fixture
def load_with(tiny_folder: Callable[[str], Path], request: pytest.FixtureRequest) -> LoadWith:
    """Tiny models with levers, closed at the end."""

    def loaded(name: str, **chosen: Any) -> tuple[Model, Renderer]:
        kind = renderer_kind("diffusers")
        model = kind.resolve(str(tiny_folder(name)))
        levers = replace(PROFILES["plain"], **chosen)
        model = replace(model, levers=levers.pixel_fields(), options=model.options | levers.options())
        renderer = kind.load(model, device="cpu", threads=1)
        request.addfinalizer(renderer.close)
        return model, renderer

    return loaded


def asked(model: Model, seed: int = 7, prompt: str = "a red cat", steps: int = 4) -> Request:
    """One request with the model's pixel levers, as a job would freeze it."""
    return request_of(model, prompt=prompt, seed=seed, steps=steps, **model.levers)


def pixels(renderer: Renderer, *batch: Request) -> Any:
    """The pictures of one batch of two, padded."""
    drawn = renderer.decode(renderer.denoise(batch, batch_size=2))
    return np.stack([picture.pixels for picture in drawn]).astype(float)


def psnr(first: Any, second: Any) -> float:
    """Peak signal-to-noise ratio of two pictures, decibels."""
    error = float(((first - second) ** 2).mean())
    return 99.0 if error == 0 else float(10 * np.log10(255**2 / error))


def backbone_rows(renderer: Renderer, name: str) -> list[int]:
    """Fills with the rows of each forward pass of the denoiser."""
    seen: list[int] = []
    module = getattr(renderer._pipe, name)  # type: ignore[attr-defined]  # noqa: SLF001 - counts real forward passes

    def note(_module: Any, values: Any, named: Any) -> None:
        seen.append((values[0] if values else named["hidden_states"]).shape[0])

    module.register_forward_pre_hook(note, with_kwargs=True)
    return seen


def test_safe_profile_on_a_cpu_changes_no_pixel(load_with: LoadWith) -> None:
    """What `safe` does is for GPUs; on a CPU it does what diffusers does, and the record names no lever."""
    model, plain = load_with("sd")
    safe_model, safe = load_with("sd", **{name: getattr(PROFILES["safe"], name) for name in ("compile", "memory")})
    assert np.array_equal(pixels(plain, asked(model)), pixels(safe, asked(safe_model)))
    assert safe.profile(asked(model).variant, batch_size=2).levers == ()


@pytest.mark.parametrize("name", ["sd", "flux", "pixart"])
def test_int8_stays_close_and_ignores_neighbours(load_with: LoadWith, name: str) -> None:
    """Quantized by rows: the picture is near the plain one, another, and the same beside any neighbour."""
    model, plain = load_with(name)
    quantized_model, quantized = load_with(name, quantization="int8")
    alone = pixels(quantized, asked(quantized_model))[0]
    beside = pixels(quantized, asked(quantized_model), asked(quantized_model, seed=99, prompt="dogs"))[0]
    reference = pixels(plain, asked(model))[0]
    assert np.array_equal(alone, beside)
    assert LEAST_PSNR["int8"] <= psnr(alone, reference)
    assert not np.array_equal(alone, reference)


@pytest.mark.parametrize(("name", "backbone"), [("sd", "unet"), ("sdxl", "unet"), ("sd3", "transformer")])
def test_guidance_ends_when_it_is_said_to(load_with: LoadWith, name: str, backbone: str) -> None:
    """After half of the steps the denoiser sees half of the rows, and the picture is another one of the same size."""
    model, full = load_with(name)
    short_model, short = load_with(name, guidance_until=0.5)
    seen = backbone_rows(short, backbone)
    drawn = pixels(short, asked(short_model))
    assert seen == [4, 4, 2, 2]
    assert drawn.shape == pixels(full, asked(model)).shape
    assert not np.array_equal(drawn, pixels(full, asked(model)))


def test_cached_steps_are_skipped_alike_for_every_image(load_with: LoadWith) -> None:
    """A mag cache leaves blocks out by the step's number: less work, and no dependence on neighbours."""
    model, plain = load_with("flux")
    cached_model, cached = load_with("flux", step_cache="mag")
    work: list[int] = []
    blocks = cached._pipe.transformer.transformer_blocks  # type: ignore[attr-defined]  # noqa: SLF001 - counts blocks
    blocks[-1].ff.register_forward_hook(lambda *_: work.append(1))
    steps = 12
    alone = pixels(cached, asked(cached_model, steps=steps))[0]
    assert 0 < len(work) < steps
    again = pixels(cached, asked(cached_model, steps=steps), asked(cached_model, seed=5, steps=steps))[0]
    assert np.array_equal(alone, again)
    assert psnr(alone, pixels(plain, asked(model, steps=steps))[0]) >= LEAST_PSNR["mag"]


def test_cache_is_spread_over_the_steps_of_the_request(load_with: LoadWith) -> None:
    """Twice the steps of the model's default: the first fifth of them is kept, and the same picture comes again."""
    model, cached = load_with("flux", step_cache="mag")
    blocks = cached._pipe.transformer.transformer_blocks  # type: ignore[attr-defined]  # noqa: SLF001 - counts blocks
    work: list[int] = []
    blocks[-1].ff.register_forward_hook(lambda *_: work.append(1))
    drawn: dict[int, Any] = {}
    for steps in (12, 56, 12):
        work.clear()
        picture = pixels(cached, asked(model, steps=steps))
        assert round(0.2 * steps) <= len(work) < steps
        assert np.array_equal(drawn.setdefault(steps, picture), picture)


def test_batch_that_was_interrupted_leaves_no_skipped_steps_behind(load_with: LoadWith) -> None:
    """The next batch begins to count its steps anew, and has the bits that it would have had."""
    model, cached = load_with("flux", step_cache="mag")
    assert isinstance(cached, Interruptible)
    steps = 12
    drawn = pixels(cached, asked(model, steps=steps))
    passes: list[int] = []

    def note(*_: Any) -> None:
        passes.append(1)
        if len(passes) == 5:
            cached.interrupt()

    hook = cached._pipe.transformer.register_forward_hook(note)  # type: ignore[attr-defined]  # noqa: SLF001 - comes between steps
    with pytest.raises(HandedBackError):
        pixels(cached, asked(model, steps=steps, seed=99))
    hook.remove()
    assert np.array_equal(pixels(cached, asked(model, steps=steps)), drawn)


@pytest.mark.filterwarnings("default::DeprecationWarning")  # inductor's own imports
def test_compiled_model_draws_the_same_to_the_eye(load_with: LoadWith) -> None:
    """Compilation for real, on this CPU; the profile of the record names it."""
    model, plain = load_with("flux")
    compiled_model, compiled = load_with("flux", compile="on")
    variant = asked(compiled_model).variant
    assert isinstance(compiled, Compilable)
    terms = compiled.uncompiled(variant, batch_size=2)
    assert terms is not None
    assert terms.must
    done = compiled.compile([asked(compiled_model)], batch_size=2, code=b"nothing that torch wrote")
    assert (done.problem, done.reused, bool(done.code)) == ("", False, True)
    assert compiled.uncompiled(variant, batch_size=2) is None
    drawn, reference = pixels(compiled, asked(compiled_model)), pixels(plain, asked(model))
    assert psnr(drawn, reference) >= LEAST_PSNR["compiled"]
    assert compiled.profile(variant, batch_size=2).levers == ("compiled_blocks",)
    assert compiled.profile(variant, batch_size=4).levers == ()


def test_model_that_cannot_be_compiled_goes_on_without(load_with: LoadWith, monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler on the node: the images come all the same, and the record does not claim what was not done."""
    monkeypatch.setenv("CXX", "/there/is/no/compiler")
    model, plain = load_with("pixart")
    compiled_model, compiled = load_with("pixart", compile="on")
    with inductor_config.patch({"cpp.cxx": ("/there/is/no/compiler",)}):
        drawn = pixels(compiled, asked(compiled_model))
    assert np.array_equal(drawn, pixels(plain, asked(model)))
    assert compiled.profile(asked(model).variant, batch_size=2).levers == ()


def test_memory_order_and_tiles_change_no_picture_to_the_eye(load_with: LoadWith) -> None:
    """Both are in the profile, neither in the request."""
    model, plain = load_with("sd")
    other_model, other = load_with("sd", channels_last="on", memory="tiling")
    assert asked(model).image_id == asked(other_model).image_id
    assert psnr(pixels(other, asked(other_model)), pixels(plain, asked(model))) >= LEAST_PSNR["compiled"]
    assert other.profile(asked(model).variant, batch_size=2).levers == ("channels_last", "tiling")


@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3", "flux", "pixart"])
def test_text_encoders_that_come_and_go_change_no_bit(load_with: LoadWith, name: str) -> None:
    """They come once for all prompts of a task, and again only for one that nobody expected."""
    model, plain = load_with(name)
    short_model, short = load_with(name, memory="text_offload")
    task = [asked(short_model, seed=seed, prompt=f"cat {seed}") for seed in range(4)]
    assert isinstance(short, Foreseeing)
    short.expect(task)
    pipe = short._pipe  # type: ignore[attr-defined]  # noqa: SLF001 - where the encoders are missing while it denoises
    encoders = short._encoders  # type: ignore[attr-defined]  # noqa: SLF001 - counts how often they came
    for batch in (task[:2], task[2:]):
        drawn = pixels(short, *batch)
        assert pipe.text_encoder is None
        assert np.array_equal(drawn, pixels(plain, *[replace(one, variant=asked(model).variant) for one in batch]))
    before = encoders.moves
    pixels(short, asked(short_model, prompt="a dog"))
    assert (before, encoders.moves) == (0, 1)
    assert task[0].image_id == asked(model, seed=0, prompt="cat 0").image_id
    assert short.profile(task[0].variant, batch_size=2).levers == ("text_offload",)


@pytest.mark.parametrize(
    ("weights", "text_encoders", "memory"),
    [(34, 10, "fit"), (36, 10, "text_offload"), (38, 10, "text_offload"), (39, 10, "offload"), (36, 1, "offload")],
)
def test_least_is_done_that_makes_a_model_fit(weights: int, text_encoders: int, memory: str) -> None:
    """Into 40 GiB: 85 % may be weights while a batch is drawn, 95 % while nothing but text is encoded."""
    found = fitting_memory(weights=weights << 30, text_encoders=text_encoders << 30, total=40 << 30)
    assert found == memory


def test_levers_that_change_pixels_are_in_the_image_id(load_with: LoadWith) -> None:
    """A quantized image is another image; a request without levers keeps the id that it always had."""
    model, _ = load_with("sd")
    plain = asked(model)
    assert b"quantization" not in plain.canonical()
    for change in ({"quantization": "int8"}, {"step_cache": "mag"}, {"guidance_until": 0.5}):
        assert replace(plain, variant=replace(plain.variant, **change)).image_id != plain.image_id


@pytest.mark.parametrize(
    ("name", "levers", "gpus", "lever", "remedy"),
    [
        ("sd", {"step_cache": "mag"}, {"cpu"}, "step_cache", "fewer steps"),
        ("pixart", {"step_cache": "mag"}, {"cpu"}, "step_cache", "step_cache: none"),
        ("flux", {"guidance_until": 0.5}, {"cpu"}, "guidance_until", "leave guidance_until out"),
        ("pixart", {"guidance_until": 0.5}, {"cpu"}, "guidance_until", "leave guidance_until out"),
        ("sd", {"quantization": "fp8"}, {"T4", "L4"}, "quantization", "use int8"),
        ("sd", {"quantization": "int4"}, {"cpu"}, "quantization", "use int8"),
    ],
)
def test_lever_that_cannot_be_had_is_refused_with_the_alternative(
    tiny_folder: Callable[[str], Path], name: str, levers: dict[str, Any], gpus: set[str], lever: str, remedy: str
) -> None:
    """At submit, by name, before anything is rented."""
    kind = renderer_kind("diffusers")
    found = kind.lever_problem(kind.resolve(str(tiny_folder(name))), Levers(**levers), gpus)
    assert found is not None
    assert found[0] == lever
    assert remedy in found[1]


def test_model_of_four_steps_has_none_to_spare() -> None:
    """As FLUX.1-schnell, though its family's ratios are known; and as any distilled one."""
    schnell = lever_problem(family_of("FluxPipeline"), Levers(step_cache="mag"), gpus={"L4"}, steps=4)
    assert schnell == ("step_cache", "a model of 4 steps has none to spare; use step_cache: none")
    assert lever_problem(family_of("FluxPipeline"), Levers(step_cache="mag"), gpus={"L4"}, steps=28) is None


def test_parts_of_a_pipeline_that_nobody_knows_are_left_alone() -> None:
    """Of a pipeline that is only called, neither the denoiser nor the text encoders are touched."""
    assert lever_problem(OTHER, Levers(compile="on"), gpus={"L4"}) == ("compile", _LEFT_ALONE + "compile: off")
    assert lever_problem(OTHER, Levers(memory="text_offload"), gpus={"L4"}) == (
        "memory",
        _LEFT_ALONE + "memory: offload",
    )
    assert lever_problem(OTHER, Levers(), gpus={"L4"}) is None


@pytest.mark.parametrize(
    ("gpus", "precision", "remedy"),
    [
        ({"A100"}, "bf16", None),
        ({"T4"}, "bf16", "use int8"),
        ({"A100"}, "fp16", "precision: bf16"),
        ({""}, "bf16", None),
    ],
)
def test_int4_is_offered_where_torch_has_a_kernel(gpus: set[str], precision: str, remedy: str | None) -> None:
    """On Ampere and later, for models in bf16; an unknown GPU is left to the worker."""
    found = lever_problem(family_of("FluxPipeline"), Levers(quantization="int4"), gpus=gpus, precision=precision)
    assert (found is None) if remedy is None else (found is not None and remedy in found[1])


def test_fp8_is_offered_where_every_gpu_has_it(tiny_folder: Callable[[str], Path]) -> None:
    """Ada, Hopper and later have it, under the names that drivers and clouds give them."""
    kind = renderer_kind("diffusers")
    model = kind.resolve(str(tiny_folder("sd")))
    for gpu in ("L4", "NVIDIA L40S", "NVIDIA GeForce RTX 4090", "NVIDIA H100 80GB HBM3", "H200"):
        assert kind.lever_problem(model, Levers(quantization="fp8"), {gpu}) is None
    for gpu in ("A10G", "Tesla T4", "NVIDIA A100-SXM4-80GB", "NVIDIA GeForce RTX 3090", "cpu"):
        assert kind.lever_problem(model, Levers(quantization="fp8"), {gpu}) is not None
