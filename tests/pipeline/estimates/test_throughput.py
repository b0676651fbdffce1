"""Estimates of throughput: trust in order, intervals that hold, and a measurement that is better than a claim."""

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.planning.catalogue import read_catalogue
from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.claims import Claim
from pipeline.estimates.throughput import REACHED, Measurement, estimate
from pipeline.estimates.work import Work, work_of

CATALOGUE = read_catalogue()


def work(model: str = "sdxl", **options: object) -> Work:
    """One image of a model."""
    return work_of(CATALOGUE, CATALOGUE.models[model], **options)  # type: ignore[arg-type]


def measured(
    rates: tuple[float, ...], *, card: str = "L4", origin: str = "measured", of: Work | None = None
) -> Measurement:
    """What a card was seen to do."""
    return Measurement(origin=origin, work=of or work(), card=card, rates=rates, images=len(rates) * 100)


@pytest.mark.parametrize(
    ("model", "options", "tera"),
    [
        ("sd15", {"steps": 50}, 83),
        ("sdxl", {"steps": 30}, 416),
        ("sdxl", {"steps": 50}, 687),
        ("flux-dev", {"steps": 28}, 2093),
    ],
)
def test_work_of_an_image_is_what_others_counted(model: str, options: dict[str, int], tera: float) -> None:
    """To half a percent; ours reads the text, too."""
    assert work(model, **options).teraflops == pytest.approx(tera, rel=0.005)


def test_guidance_doubles_the_denoising_and_nothing_else() -> None:
    """Both texts run in one forward of two rows; decoding stays."""
    free, guided = work(guidance_scale=0.0), work(guidance_scale=7.0)
    assert 1.9 < guided.teraflops / free.teraflops < 2


def test_measured_goes_before_pilot_before_claims_before_the_peak() -> None:
    """The order of trust."""
    gpu, of = CATALOGUE.gpus["L4"], work()
    ledger, pilot = measured((0.1, 0.11)), measured((0.2,), origin="pilot")
    assert _origin(estimate(CATALOGUE, of, gpu, [pilot, ledger])) == "measured"
    assert _origin(estimate(CATALOGUE, of, gpu, [pilot])) == "pilot"
    assert _origin(estimate(CATALOGUE, of, gpu)) == "published"
    assert _origin(estimate(replace(CATALOGUE, claims=()), of, gpu)) == "estimated"


def _origin(found: object) -> str:
    return found.origin  # type: ignore[attr-defined, no-any-return]


def test_measurement_of_another_shape_is_scaled_by_arithmetic_and_trusted_less() -> None:
    """Half the steps, nearly twice as fast; the interval is wider."""
    gpu = CATALOGUE.gpus["L4"]
    rates = (0.1, 0.1, 0.1)
    same = estimate(CATALOGUE, work(), gpu, [measured(rates)])
    shorter = estimate(CATALOGUE, work(steps=15), gpu, [measured(rates)])
    assert same is not None
    assert shorter is not None
    assert same.images_per_second == pytest.approx(0.1)
    assert 0.19 < shorter.images_per_second < 0.2
    assert shorter.high / shorter.low > same.high / same.low
    assert "scaled from 1024x1024, 30 steps" in shorter.basis


def test_measurement_elsewhere_is_scaled_by_the_peaks() -> None:
    """A model that was rendered on one card says something of every card, and says that it is no measurement there."""
    found = estimate(CATALOGUE, work(), CATALOGUE.gpus["L40S"], [measured((0.1, 0.1))])
    assert found is not None
    assert found.origin == "estimated"
    assert "measured on L4" in found.basis
    assert found.images_per_second == pytest.approx(0.1 * 362 / 121, rel=1e-6)


def test_card_without_the_arithmetic_has_no_figure() -> None:
    """A T4 has no bf16, an A100 no fp8."""
    assert estimate(CATALOGUE, work("flux-dev"), CATALOGUE.gpus["T4"]) is None
    assert estimate(CATALOGUE, work(quantization="fp8"), CATALOGUE.gpus["A100 80GB SXM"]) is None
    assert estimate(CATALOGUE, work(quantization="fp8"), CATALOGUE.gpus["L4"]) is not None


def test_tiny_model_is_not_scaled_into_millions() -> None:
    """The demo model would make millions of images an hour by its arithmetic; kernels are not begun so fast."""
    found = estimate(CATALOGUE, work("shapes"), CATALOGUE.gpus["B200"])
    assert found is not None
    assert (found.images_per_second, found.origin) == (80.0, "estimated")
    assert "too small to fill the card" in found.basis


def test_claim_that_is_contradicted_is_not_averaged_in() -> None:
    """Estimates are the same without the claims that are not used."""
    used = replace(CATALOGUE, claims=tuple(claim for claim in CATALOGUE.claims if claim.used))
    for gpu in CATALOGUE.gpus.values():
        assert estimate(used, work("sd15"), gpu) == estimate(CATALOGUE, work("sd15"), gpu)


_LEFT_OUT: list[tuple[str, Callable[[Claim, Claim], bool]]] = [
    ("the claim itself", lambda one, left: one is left),
    ("all of its card", lambda one, left: one.gpu == left.gpu),
    ("all of its model", lambda one, left: one.model == left.model),
    ("all of either", lambda one, left: left.gpu == one.gpu or left.model == one.model),
]


@pytest.mark.parametrize("left_out", [rule for _, rule in _LEFT_OUT], ids=[name for name, _ in _LEFT_OUT])
def test_intervals_hold_the_claims_that_were_left_out(left_out: Callable[[Claim, Claim], bool]) -> None:
    """Nine times in ten, whatever is left out; engines that we do not run count by their stated advantage."""
    used = [claim for claim in CATALOGUE.claims if claim.used]
    held = [_holds(replace(CATALOGUE, claims=tuple(c for c in used if not left_out(c, one))), one) for one in used]
    assert sum(held) / len(held) >= 0.9


def _holds(catalogue: Catalogue, claim: Claim) -> bool:
    of = work(claim.model, width=claim.width, height=claim.height, steps=claim.steps, precision="fp16")
    found = estimate(catalogue, of, CATALOGUE.gpus[claim.gpu])
    engine = "tensorrt fp8" if (claim.engine, claim.precision) == ("tensorrt", "fp8") else claim.engine
    assert found is not None
    return found.low <= claim.images_per_second * REACHED["eager"] / REACHED[engine] <= found.high


@pytest.mark.parametrize(("jobs", "deviation"), [(1, 0.05), (2, 0.05), (3, 0.1), (6, 0.2), (12, 0.1)])
def test_intervals_hold_the_next_job_of_a_ledger(jobs: int, deviation: float) -> None:
    """Of jobs that vary, the next one lies inside nine times in ten (600 ledgers, a seed each)."""
    inside = 0
    for seed in range(600):
        dice = random.Random(seed)
        rates = [math.exp(dice.gauss(-2.0, deviation)) for _ in range(jobs + 1)]
        found = estimate(CATALOGUE, work(), CATALOGUE.gpus["L4"], [measured(tuple(rates[:-1]))])
        assert found is not None
        inside += found.low <= rates[-1] <= found.high
    assert inside / 600 >= 0.87


@given(truth=st.floats(0.02, 2.0), noise=st.floats(-0.1, 0.1))
def test_measured_plan_is_closer_than_one_from_claims(truth: float, noise: float) -> None:
    """Whatever the card really does beyond what claims say: jobs that are within ten percent beat claims."""
    gpu = CATALOGUE.gpus["L4"]
    claimed = estimate(CATALOGUE, work(), gpu)
    seen = estimate(CATALOGUE, work(), gpu, [measured((truth * (1 + noise), truth * (1 - noise / 2)))])
    assert claimed is not None
    assert seen is not None
    error, claimed_error = (abs(math.log(one.images_per_second / truth)) for one in (seen, claimed))
    assert error <= 0.11
    assert claimed_error <= 0.11 or error < claimed_error
