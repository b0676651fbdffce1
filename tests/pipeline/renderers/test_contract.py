"""What every renderer of the table promises; a new line in the table is tested here at once."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.model import Model
from pipeline.ports import Renderer, RendererKind
from pipeline.record import Profile
from pipeline.renderers.table import RENDERERS, renderer_kind
from pipeline.request import Request
from tests.pipeline.renderers.asking import request_of

SOURCES = {
    "diffusers": ("sd", "sdxl", "sd3", "flux", "pixart"),
    "synthetic": ("synthetic",),
}
"""Renderer -> models to try it with: tiny ones of every family, or a source of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One renderer with one loaded model."""

    kind: RendererKind
    model: Model
    renderer: Renderer

    def request(self, seed: int = 7, prompt: str = "a red cat") -> Request:
        """A request for this model."""
        return request_of(self.model, prompt, seed)


@pytest.fixture(
    scope="module", params=[(name, source) for name in sorted(RENDERERS) for source in SOURCES[name]], ids="-".join
)
def case(request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path]) -> Iterator[Case]:
    """Every renderer with each of its models."""
    name, source = request.param
    kind = renderer_kind(name)
    model = kind.resolve(str(tiny_folder(source)) if name == "diffusers" else source)
    renderer = kind.load(model, device="cpu", threads=1)
    yield Case(kind=kind, model=model, renderer=renderer)
    renderer.close()


def test_a_model_is_frozen_the_same_every_time(case: Case) -> None:
    """Resolving again gives an equal model, and its JSON form gives it back."""
    assert case.model.renderer in RENDERERS
    assert case.model.revision
    assert case.model.pixel_version >= 1
    assert Model(**json.loads(json.dumps(asdict(case.model)))) == case.model


def test_defaults_have_no_problem(case: Case) -> None:
    """What a model proposes itself, it can render."""
    variant = request_of(case.model, width=case.model.width, height=case.model.height, steps=case.model.steps).variant
    assert case.kind.problem(case.model, variant) is None


def test_a_short_batch_gives_one_picture_per_request(case: Case) -> None:
    """The padding is dropped; pictures are RGB bytes of the size that was asked for, in order."""
    requests = [case.request(seed) for seed in (1, 2, 3)]
    pictures = case.renderer.decode(case.renderer.denoise(requests, batch_size=4))
    assert len(pictures) == 3
    for request, picture in zip(requests, pictures, strict=True):
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.shape == (request.variant.height, request.variant.width, 3)
        assert picture.finite
        assert not picture.blanked
    assert len({picture.pixels.tobytes() for picture in pictures}) == 3


def test_an_image_depends_on_its_request_alone(case: Case) -> None:
    """Same bytes in another place, beside other neighbours, and after other batches."""
    mine = case.request(7)
    others = [case.request(seed, f"dog {seed}") for seed in (1, 2)]
    alone = case.renderer.decode(case.renderer.denoise([mine], batch_size=3))[0]
    beside = case.renderer.decode(case.renderer.denoise([*others, mine], batch_size=3))[2]
    assert np.array_equal(alone.pixels, beside.pixels)


def test_a_fresh_load_gives_the_same_bits(case: Case) -> None:
    """Another worker with the same profile makes the same bytes."""
    again = case.kind.load(case.model, device="cpu", threads=1)
    mine = [case.request()]
    first = case.renderer.decode(case.renderer.denoise(mine, batch_size=2))[0]
    second = again.decode(again.denoise(mine, batch_size=2))[0]
    again.close()
    assert np.array_equal(first.pixels, second.pixels)


def test_profile_and_batch_size_are_told(case: Case) -> None:
    """A profile names the batch shape and the versions; the batch is at least one."""
    variant = case.request().variant
    profile = case.renderer.profile(variant, batch_size=3)
    assert isinstance(profile, Profile)
    assert (profile.batch_size, profile.precision) == (3, variant.precision)
    assert profile.versions
    assert case.renderer.batch_size(variant) >= 1


def test_every_line_of_the_table_is_tried_here() -> None:
    """A new renderer needs a model to be tried with."""
    assert set(SOURCES) == set(RENDERERS)


def test_an_unknown_renderer_names_the_nearest() -> None:
    """A slip of the pen gets a hint."""
    with pytest.raises(ModelError, match="did you mean diffusers"):
        renderer_kind("difusers")
