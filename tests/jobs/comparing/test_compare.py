"""`compare` renders the same prompts under several profiles and says what that did, in figures and side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.comparing.compare import Comparison, compare
from jobs.comparing.compare_sheet import sheet
from jobs.comparing.compare_table import compared_text
from jobs.comparing.picture_difference import SAME_DECIBELS, psnr, ssim
from jobs.jobfile.loading import Options, load
from pipeline.errors import JobFileError
from tests.pipeline.renderers import tiny
from tests.pipeline.renderers.tiny_parts import SIZE

HOSTILE = '<script>alert("x")</script> & a cat'


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Two prompts of a tiny model, plain and quantized, rendered for real in this process."""
    folder = tmp_path_factory.mktemp("compare")
    manifest = folder / "prompts.jsonl"
    manifest.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in ("a dog", HOSTILE)))
    options = Options(
        model=str(tiny.sd(folder / "tiny")),
        store=str(folder / "store"),
        assignments=(f"width={SIZE}", f"height={SIZE}", "steps=2"),
    )
    return compare(load(str(manifest), options), ["plain", "fast"], address="in-process")


def test_each_profile_gets_its_figures(compared: Comparison) -> None:
    """Pace, price and memory are measured, and the second profile is told apart from the first."""
    plain, fast = compared.profiles
    assert (plain.images, fast.images) == (2, 2)
    for row in (plain, fast):
        assert row.images_per_second
        assert row.usd_per_image
        assert row.memory_bytes > 0
    assert (plain.psnr, plain.levers) == (None, ())
    assert fast.psnr is not None
    assert 20 < fast.psnr < SAME_DECIBELS
    assert fast.levers == ("quantization=int8",)
    assert any("int8" in warning for warning in fast.warnings)


def test_sheet_holds_every_picture_and_obeys_no_prompt(compared: Comparison) -> None:
    """Both images of both prompts are inside the file, which asks for nothing from outside."""
    page = sheet(compared)
    assert page.count("data:image/webp;base64,") == 4
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page
    assert "https://" not in page


def test_table_fits_a_terminal(compared: Comparison) -> None:
    """80 columns, a line for each profile."""
    text = compared_text(compared, None)
    assert max(map(len, text.splitlines())) <= 80
    assert "quantization=int8" in text


@pytest.mark.parametrize("profiles", [["safe"], ["safe", "safe"], ["safe", "turbo"]])
def test_profiles_that_make_no_sense_are_refused(profiles: list[str], tmp_path: Path) -> None:
    """Before anything is rendered."""
    manifest = tmp_path / "prompts.jsonl"
    manifest.write_text('{"prompt": "a dog"}\n')
    job_file = load(str(manifest), Options(model="synthetic", store=str(tmp_path / "store")))
    with pytest.raises(JobFileError, match="--profiles"):
        compare(job_file, profiles, address="in-process")
    assert not (tmp_path / "store").exists()


def test_distances_of_known_pictures() -> None:
    """Identical pictures, a picture one step darker, and noise."""
    grey = np.full((32, 48, 3), 128, dtype=np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, grey.shape, dtype=np.uint8)
    assert psnr(grey, grey) == SAME_DECIBELS
    assert psnr(grey, grey - 1) == pytest.approx(48.13, abs=0.01)
    assert ssim(noise, noise) == pytest.approx(1.0)
    assert ssim(noise, grey) < 0.1
