"""What a job's `performance:` becomes: levers of its models, refusals with alternatives, and notes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.freezing import freeze
from jobs.jobfile.loading import Options, load
from jobs.jobfile.model import DistilledEntry, PerformanceEntry
from jobs.performance import with_performance
from jobs.wiring import resolve_model
from pipeline.distilled import distilled_of
from pipeline.errors import JobFileError, ModelError
from pipeline.job import NodeOffer, job_from_json, job_to_json
from pipeline.performance import frozen_levers


def offer(gpu: str) -> NodeOffer:
    """Nodes with this GPU."""
    return NodeOffer(type="any", market="spot", max=1, gpu=gpu)


@pytest.fixture
def job_file(tmp_path: Path) -> Callable[[str], Path]:
    """A job file with this line about performance."""

    def written(line: str) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(f"manifest: prompts.jsonl\nstore: out\nmodel: shapes\n{line}\n")
        return path

    return written


def test_a_word_is_a_profile_and_a_mapping_differs_from_it(job_file: Callable[[str], Path]) -> None:
    """Both forms of the key, and the option."""
    assert load(str(job_file("performance: fast")), Options()).performance.profile == "fast"
    mixed = load(str(job_file("performance: {profile: max, compile: off}")), Options()).performance
    assert (mixed.profile, mixed.compile) == ("max", "off")
    assert load(str(job_file("")), Options(assignments=("performance=fast",))).performance.profile == "fast"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("performance: turbo", ":4: performance.profile: must be plain, safe, fast or max"),
        ("performance: {quantisation: int8}", 'did you mean "quantization"'),
        ("performance: {guidance_until: 1.5}", "must be a number from 0 to 1"),
        ("performance: {compile: sometimes}", "must be auto, on or off"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(job_file: Callable[[str], Path], line: str, says: str) -> None:
    """File, line, key and remedy."""
    with pytest.raises(JobFileError) as caught:
        load(str(job_file(line)), Options())
    assert says in str(caught.value)


def test_profile_falls_back_and_says_so(job_file: Callable[[str], Path]) -> None:
    """`fast` on GPUs without FP8 is int8; `max` on a UNet goes without a step cache: both are told."""
    entry = load(str(job_file("performance: max")), Options()).performance
    model, notes = with_performance(resolve_model("shapes"), entry, [offer("T4")])
    assert model.levers == {"quantization": "int8", "guidance_until": 0.6}
    assert len(notes) == 2
    assert any("T4 has no FP8" in note for note in notes)
    assert any("step cache" in note for note in notes)
    quick, none = with_performance(resolve_model("shapes"), entry.model_copy(update={"profile": "fast"}), [offer("L4")])
    assert quick.levers == {"quantization": "fp8"}
    assert none == ()


def test_named_lever_that_cannot_be_had_is_an_error(job_file: Callable[[str], Path]) -> None:
    """What the user asked for by name is never dropped in silence."""
    entry = load(str(job_file("performance: {step_cache: mag}")), Options()).performance
    with pytest.raises(ModelError, match=r"performance\.step_cache: there are no step caches"):
        with_performance(resolve_model("shapes"), entry, [offer("L4")])


def test_levers_travel_with_the_frozen_model(job_file: Callable[[str], Path]) -> None:
    """What the worker reads back is what was frozen; a model frozen before there were levers is plain."""
    entry = load(str(job_file("performance: {profile: safe, memory: offload}")), Options()).performance
    plain = resolve_model("shapes")
    model, _ = with_performance(plain, entry, [offer("L4")])
    assert frozen_levers(model.levers, model.options).memory == "offload"
    assert frozen_levers(plain.levers, plain.options).compile == "off"


@pytest.fixture
def lora(tmp_path: Path) -> str:
    """A file in the place of a LoRA; at submit only its bytes count."""
    path = tmp_path / "few_steps.safetensors"
    path.write_bytes(b"weights")
    return str(path)


def test_max_renders_fewer_steps_where_a_lora_for_that_is_known(job_file: Callable[[str], Path], lora: str) -> None:
    """It takes the place of skipped steps and of guidance that ends, and is said; `fast` and `off` go without."""
    known = DistilledEntry(lora=lora, steps=4, guidance_scale=1.0, scheduler="lcm")
    model, notes = with_performance(
        resolve_model("shapes"), PerformanceEntry(profile="max"), [offer("L4")], distilled=known
    )
    assert (model.steps, model.guidance_scale, model.scheduler) == (4, 1.0, "lcm")
    assert model.levers == {"quantization": "fp8"}
    assert f"renders 4 steps at guidance 1 with {lora}" in notes[0]
    for entry in (PerformanceEntry(profile="fast"), PerformanceEntry(profile="max", distilled="off")):
        other, _ = with_performance(resolve_model("shapes"), entry, [offer("L4")], distilled=known)
        assert (other.steps, other.distilled) == (resolve_model("shapes").steps, {})


def test_lora_that_nobody_knows_is_asked_for_in_vain(job_file: Callable[[str], Path]) -> None:
    """Named, it is an error with the remedy; `max` alone goes without."""
    entry = load(str(job_file("performance: {distilled: on}")), Options()).performance
    with pytest.raises(ModelError, match=r"performance\.distilled: .* name one: distilled_lora: \{lora: "):
        with_performance(resolve_model("shapes"), entry, [offer("L4")])
    model, _ = with_performance(resolve_model("shapes"), PerformanceEntry(profile="max"), [offer("L4")])
    assert model.distilled == {}


def test_distilled_steps_go_before_what_rows_say_and_into_the_image_id(
    job_file: Callable[[str], Path], lora: str, tmp_path: Path
) -> None:
    """Every request is resolved, and a driver that reads the frozen job finds the same."""
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a", "steps": 50}\n{"prompt": "b"}\n')
    entry = f"{{lora: {lora}, steps: 4, guidance_scale: 1.0, scheduler: lcm}}"
    path = job_file(f"performance: {{distilled_lora: {entry}}}\ndefaults: {{steps: 30, guidance_scale: 5.0}}")
    with freeze(load(str(path), Options()), environ={}, stdin=None) as frozen:
        (variant,) = frozen.job.variants
        assert (variant.steps, variant.guidance_scale, variant.scheduler) == (4, 1.0, "lcm")
        assert [one.source for one in variant.loras] == [lora]
        (model,) = job_from_json(job_to_json(frozen.job)).models
        distilled = distilled_of(model)
        assert distilled is not None
        assert (distilled.lora, distilled.steps) == (variant.loras[0], 4)
        assert any("whatever rows and defaults say" in warning for warning in frozen.warnings)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("distilled: sometimes", "must be on or off"),
        ("distilled_lora: {lora: x}", "distilled_lora.steps: .*"),
        ("distilled_lora: {lora: x, step: 4, guidance_scale: 1}", 'did you mean "steps"'),
    ],
)
def test_distilled_that_makes_no_sense_is_refused(job_file: Callable[[str], Path], line: str, says: str) -> None:
    """With the key that is wrong."""
    with pytest.raises(JobFileError, match=says):
        load(str(job_file(f"performance: {{{line}}}")), Options())
