"""The catalogue that ships: every row with source and date, counts that agree with what is published, no torn ends."""

from dataclasses import asdict, replace
from decimal import Decimal

import pytest

from jobs.planning.catalogue import (
    GpuRow,
    configs,
    known_gpu,
    known_model,
    read_catalogue,
    read_hosted_prices,
    read_offers,
    read_serverless_prices,
    rows,
)
from jobs.profiles import profile_names, read_profile
from pipeline.catalogue.catalogue import Catalogue, problems
from pipeline.errors import JobFileError


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    """What ships."""
    return read_catalogue()


def test_every_row_says_where_it_is_from_and_when(catalogue: Catalogue) -> None:
    """And nothing points at what is not there."""
    assert len(catalogue.gpus) >= 17
    assert len(catalogue.models) >= 12
    rows_of_all = [*map(asdict, catalogue.gpus.values()), *map(asdict, catalogue.models.values())]
    for row in [*rows_of_all, *map(asdict, catalogue.claims)]:
        assert row["source"]
        assert row["as_of"]
    assert list(problems(catalogue)) == []


def test_gpus_are_plausible_by_arithmetic(catalogue: Catalogue) -> None:
    """Torch sees no more than is sold, and peaks hold no sparsity: fp8 is at most about twice fp16."""
    for gpu in catalogue.gpus.values():
        assert 0.85 * gpu.vram_gb * 1e9 < gpu.visible_bytes < 1.001 * gpu.vram_gb * 2**30, gpu.name
        assert gpu.fp8_tflops is None or 1.9 < gpu.fp8_tflops / gpu.fp16_tflops < 2.1, gpu.name
        assert (gpu.fp8_tflops is not None) == (float(gpu.compute_capability) >= 8.9), gpu.name
        assert (gpu.bf16_tflops is not None) == (float(gpu.compute_capability) >= 8.0), gpu.name


def test_prices_of_services_and_cards_are_claims_with_source() -> None:
    """Money is exact, ranges are ranges."""
    found = {row.service: row for row in read_hosted_prices()}
    assert found["Replicate"].usd_per_image_low == Decimal("0.0005")
    for row in found.values():
        assert row.usd_per_image_low <= row.usd_per_image_high
        assert row.source
        assert row.as_of
    catalogue = read_catalogue()
    by_the_second = read_serverless_prices()
    assert all(row.card in catalogue.gpus and row.source and row.as_of for row in by_the_second)
    assert len({(row.service, row.card) for row in by_the_second}) == len(by_the_second)
    assert catalogue.gpus["RTX 4090"].purchase_usd == Decimal(5000)


def test_every_node_type_has_a_card_of_the_catalogue(catalogue: Catalogue) -> None:
    """With about the memory that the node's provider tells."""
    offers = read_offers(catalogue)
    assert {"g5.xlarge", "runpod-4090", "coreweave-8x-h100"} <= set(offers)
    assert [offer.type for offer in offers.values() if not offer.card] == []
    assert (offers["p4d.24xlarge"].card, offers["p4de.24xlarge"].card) == ("A100 40GB SXM", "A100 80GB SXM")


@pytest.mark.parametrize(
    ("component", "tolerance"),
    [
        ("unet-sd15", 0),
        ("unet-sd21", 0),
        ("unet-sdxl", 0),
        ("flux-dev", 0),
        ("flux-schnell", 0.01),
        ("mmdit-sd3-medium", 0.01),
        ("mmdit-sd35-large", 0.01),
        ("dit-pixart-sigma", 0.02),
        ("dit-sana-1600m", 0.01),
        ("t5-xxl", 0),
        ("gemma-2-2b", 0),
        ("clip-l", 0),
        ("clip-h", 0),
        ("clip-bigg", 0),
        ("vae-sd", 0),
        ("vae-16-channels", 0),
        ("dc-ae-sana", 0),
    ],
)
def test_counted_parameters_are_the_published_ones(catalogue: Catalogue, component: str, tolerance: float) -> None:
    """To the parameter where others give the exact sum, else as they round: so the configuration is right."""
    part = catalogue.components[component]
    assert part.published_parameters is not None
    assert part.parameters == pytest.approx(part.published_parameters, rel=tolerance or 1e-12)


def test_safety_checker_lies_on_the_device_too(catalogue: Catalogue) -> None:
    """608 MB in half precision, which SD 1.5 alone brings."""
    assert [name for name, model in catalogue.models.items() if model.others] == ["sd15"]
    assert 2 * catalogue.components["safety-checker"].parameters == pytest.approx(608e6, rel=0.001)


def test_half_billion_of_sd35_medium_is_told_not_believed(catalogue: Catalogue) -> None:
    """Its card says 2.5 billion; the configuration makes 2.24, as does the size of the file that is published."""
    part = catalogue.components["mmdit-sd35-medium"]
    assert part.parameters == 2_243_171_520
    assert part.published_parameters == 2_500_000_000


@pytest.mark.parametrize(
    ("component", "side", "tera"),
    [
        ("unet-sd15", 512, 0.803),
        ("unet-sdxl", 1024, 6.76),
        ("flux-dev", 1024, 74.4),
        ("flux-dev", 512, 21.5),
        ("vae-sd", 512, 2.51),
        ("vae-sd", 1024, 10.47),
    ],
)
def test_counted_arithmetic_is_what_others_counted(
    catalogue: Catalogue, component: str, side: int, tera: float
) -> None:
    """FLOPs of one forward, and of one decode."""
    assert catalogue.components[component].flops(side * side) / 1e12 == pytest.approx(tera, rel=0.005)


@pytest.mark.parametrize("name", ["unet-sd15", "unet-sdxl", "flux-dev", "vae-sd", "dit-sana-1600m"])
def test_sizes_between_the_counted_ones_are_exact(catalogue: Catalogue, name: str) -> None:
    """A counted size that is left out comes out of its neighbours: arithmetic to a permille, memory to a percent."""
    part = catalogue.components[name]
    left_out = part.points[2]
    others = replace(part, points=tuple(point for point in part.points if point is not left_out))
    assert others.flops(left_out.pixels) == pytest.approx(left_out.flops, rel=1e-3)
    assert others.activation_bytes(left_out.pixels, 1) == pytest.approx(left_out.row_bytes, rel=0.01)


@pytest.mark.parametrize("name", profile_names())
def test_catalogue_and_profile_agree(catalogue: Catalogue, name: str) -> None:
    """A model is one thing, whether it is planned or rendered."""
    profile = read_profile(name)
    model = catalogue.models.get(name)
    if profile is None or profile.renderer != "diffusers" or model is None:
        assert name == "synthetic"
        return
    assert name == "shapes" or (model.repo, model.precision) == (profile.source, profile.precision)
    assert (model.licence, model.gated) == (profile.licence, profile.gated)
    said = profile.defaults
    assert (model.width, model.height, model.steps, model.guidance_scale) == (
        said.width,
        said.height,
        said.steps,
        said.guidance_scale,
    )


def test_every_model_of_the_catalogue_has_a_profile(catalogue: Catalogue) -> None:
    """So it can be rendered by the name under which it is planned."""
    assert sorted(catalogue.models) == sorted(set(profile_names()) - {"synthetic"})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("RTX 4900", 'there is no GPU "RTX 4900" in the catalogue, did you mean "RTX 4090"'),
        ("H1000", 'did you mean "H100"'),
        ("potato", "known are A100 40GB PCIe"),
    ],
)
def test_unknown_gpu_names_the_nearest(catalogue: Catalogue, wrong: str, said: str) -> None:
    """Or all, where none is near."""
    with pytest.raises(JobFileError, match=said):
        known_gpu(catalogue, wrong)


@pytest.mark.parametrize("written", ["rtx-4090", "NVIDIA GeForce RTX 4090", "4090", "RTX 4090"])
def test_gpu_is_found_however_it_is_written(catalogue: Catalogue, written: str) -> None:
    """As drivers, shops and people write it."""
    assert known_gpu(catalogue, written).name == "RTX 4090"


def test_unknown_model_names_the_nearest(catalogue: Catalogue) -> None:
    """And a repository says what can be planned without it."""
    with pytest.raises(JobFileError, match='did you mean "sdxl"'):
        known_model(catalogue, "sdlx")
    with pytest.raises(JobFileError, match="a private or gated repository is not looked at: give the folder"):
        known_model(catalogue, "acme/secret-model")
    assert known_model(catalogue, "black-forest-labs/FLUX.1-dev").name == "flux-dev"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("vram_gb: 16", "vram_gb: -16"), "vram_gb: must be a whole number"),
        (("fp16_tflops: 65", "fp16_tflops: lots"), "fp16_tflops: must be a number above 0"),
        (("as_of: 2026-11", "as_of: 2999-01"), "as_of: is in the future"),
        (("tdp_watts: 70", "tdp_wats: 70"), "tdp_watts: Field required"),
        (('source: "NVIDIA', 'sauce: "NVIDIA'), "source: Field required"),
    ],
)
def test_damaged_row_is_told_with_its_line(change: tuple[str, str], problem: str) -> None:
    """Schema-checked, every row."""
    text = (configs() / "gpus.yaml").read_text().replace(*change, 1)
    line = next(number for number, row in enumerate(text.splitlines(), 1) if row.startswith("- {name: T4"))
    with pytest.raises(JobFileError, match=f"gpus.yaml:{line}: {problem}"):
        rows(GpuRow, "gpus.yaml", text.encode())


def test_claims_that_contradict_each_other_say_so_and_are_not_used_together(catalogue: Catalogue) -> None:
    """What is not used says why; contradicting claims of one source are not all believed."""
    known = {claim.id: claim for claim in catalogue.claims}
    assert sum(not claim.used for claim in catalogue.claims) >= 10
    for claim in catalogue.claims:
        same_source = [known[other] for other in claim.contradicts if known[other].source[:20] == claim.source[:20]]
        assert not (claim.used and any(other.used for other in same_source)), claim.id
