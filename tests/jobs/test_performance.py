"""What a job's `performance:` becomes: levers of its models, refusals with alternatives, and notes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.jobfile_loading import Options, load
from jobs.performance import with_performance
from jobs.wiring import resolve_model
from pipeline.errors import JobFileError, ModelError
from pipeline.job import NodeOffer
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
