"""What rows leave open is filled in, and what a model does not allow is named."""

from typing import Any

import pytest

from pipeline.errors import JobFileError
from pipeline.manifest.problems import Problems
from pipeline.manifest.resolve import MAX_VARIANTS, Defaults, Resolved, Resolver, defaults_of
from pipeline.manifest.row import LoraChoice, Row
from pipeline.model import Model
from pipeline.request import Variant
from tests.pipeline.manifest.submission import lora, model, resolver


def _resolved(by: Resolver, **values: Any) -> Resolved:
    problems = Problems("p")
    found = by.resolve(Row(line=1, prompt="a", **values), problems)
    assert problems.messages() == ()
    assert found is not None
    return found


def _problem(by: Resolver, **values: Any) -> str:
    problems = Problems("p.jsonl")
    assert by.resolve(Row(line=9, prompt="a", **values), problems) is None
    assert problems.count == 1
    return problems.messages()[0]


def test_the_row_wins_over_the_job_and_the_job_over_the_model() -> None:
    """Each field is taken from the first of row, job and model that gives it."""
    by = resolver(
        models=[model(scheduler="ddim")],
        defaults=Defaults(
            steps=10, guidance_scale=5.0, negative_prompt="blurry", seed=3, tags={"b": "job", "a": "job"}
        ),
    )
    found = _resolved(by, guidance_scale=7.5, width=128, tags={"b": "row"})
    assert found.variant == Variant(
        model="sha256:shapes",
        renderer="synthetic",
        pixel_version=1,
        precision="fp32",
        width=128,
        height=64,
        steps=10,
        guidance_scale=7.5,
        scheduler="ddim",
    )
    assert (found.negative_prompt, found.seed) == ("blurry", 3)
    assert list(found.tags.items()) == [("a", "job"), ("b", "row")]
    other = _resolved(by, negative_prompt="", seed=0, scheduler="")
    assert (other.negative_prompt, other.seed, other.variant.scheduler) == ("", 0, "")


def test_without_any_seed_it_is_zero() -> None:
    """No seed anywhere is seed 0."""
    assert _resolved(resolver()).seed == 0


def test_one_variant_has_one_ordinal_however_it_is_written() -> None:
    """A default and the same value written out are the same variant."""
    by = resolver()
    ordinals = [
        _resolved(by).ordinal,
        _resolved(by, width=64).ordinal,
        _resolved(by, width=128).ordinal,
        _resolved(by, model="shapes", height=64, steps=20, guidance_scale=3.0, loras=()).ordinal,
    ]
    assert ordinals == [0, 0, 1, 0]
    assert len(by.variants) == 2


def test_rows_choose_among_the_models_of_the_job() -> None:
    """A row's model decides over its defaults; an unknown one is named with the nearest."""
    by = resolver(models=[model(), model("sdxl", width=1024, height=1024)])
    assert _resolved(by, model="sdxl").variant.width == 1024
    assert [by.models[n].name for n in (0,)] == ["sdxl"]
    assert 'p.jsonl:9: model "sdlx" is not known here; the nearest is "sdxl"' in _problem(by, model="sdlx")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 513}, 'width must be a multiple of 8 for model "shapes", got 513: write 512 or 520'),
        ({"height": 3}, 'height must be a multiple of 8 for model "shapes", got 3: write 8'),
        ({"width": 65536}, "width x height must be at most 1,048,576 pixels"),
        ({"loras": (LoraChoice("missing"),)}, 'loras: there is no LoRA "missing"'),
        ({"scheduler": "random"}, "scheduler random draws from the global generator"),
        ({"seed": 2**32 - 3}, "seed 4294967293 with images_per_prompt 4 runs up to 4294967296"),
    ],
)
def test_what_the_model_does_not_allow_is_named(values: dict[str, Any], message: str) -> None:
    """A row that the model cannot render is a problem at its line."""

    def problem(_model: Model, variant: Variant) -> str | None:
        return "scheduler random draws from the global generator" if variant.scheduler == "random" else None

    assert f"p.jsonl:9: {message}" in _problem(resolver(problem=problem, images_per_prompt=4), **values)


def test_the_last_seed_may_be_the_largest() -> None:
    """Seeds up to 2**32-1 are fine, also the ones that follow the first."""
    assert _resolved(resolver(images_per_prompt=4), seed=2**32 - 4).seed == 2**32 - 4


def test_a_model_is_asked_once_for_a_variant() -> None:
    """The renderer's own check may be slow, so it runs once a variant, refused ones included."""
    asked: list[Variant] = []

    def problem(_model: Model, variant: Variant) -> str | None:
        asked.append(variant)
        return "no" if variant.steps == 5 else None

    by = resolver(problem=problem)
    for steps in (5, 6, 5, 6, 5):
        by.resolve(Row(1, "a", steps=steps), Problems("p"))
    assert len(asked) == 2


def test_loras_are_part_of_the_variant() -> None:
    """A LoRA is looked up and frozen with its scale."""
    found = _resolved(resolver(), loras=(LoraChoice("a", 0.5),))
    assert found.variant.loras == (lora("a", 0.5),)


def test_a_manifest_of_endless_variants_is_refused() -> None:
    """Each variant is its own tasks, so their number is bounded, and the memory with it."""
    by = resolver()
    problems = Problems("p")
    for number in range(MAX_VARIANTS + 1):
        by.resolve(Row(number + 1, "a", guidance_scale=number / MAX_VARIANTS), problems)
    assert problems.count == 1
    assert "more than 20,000 different sets" in problems.messages()[0]


def test_defaults_follow_the_rules_of_rows() -> None:
    """A job's defaults are typed like a row, and every wrong one is named."""
    found = defaults_of(
        {"steps": 5, "loras": [{"source": "a"}], "seed": "per_run", "tags": {"x": "1"}}, per_run_seed=77
    )
    assert found == Defaults(steps=5, loras=(LoraChoice("a"),), seed=77, tags={"x": "1"})
    with pytest.raises(JobFileError) as caught:
        defaults_of({"steps": 5.0, "prompt": "a", "seed": "per_run"}, place="job.yaml: defaults")
    assert str(caught.value).splitlines() == [
        "job.yaml: defaults: steps must be a whole number from 1 to 1000, got 5.0",
        'job.yaml: defaults: "prompt" can have no default; known are ' + ", ".join(Defaults.__slots__),
        'job.yaml: defaults: seed must be a whole number from 0 to 4294967295, got "per_run"',
    ]


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_images_per_prompt_has_bounds(number: int) -> None:
    """None at all, and absurdly many, are refused."""
    with pytest.raises(JobFileError, match="images_per_prompt must be from 1 to 10000"):
        resolver(images_per_prompt=number)


def test_the_jobs_model_must_be_known() -> None:
    """A default model that is not resolved is an error of the job."""
    with pytest.raises(JobFileError, match="is not among the job's models"):
        resolver(defaults=Defaults(model="other"))
