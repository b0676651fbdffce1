"""The stand-in renderer beyond what every renderer promises."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    BadOutputError,
    BadRequestError,
    ModelError,
    ModelUnavailableError,
    OutOfMemoryError,
    SafetyBlankedError,
)
from pipeline.imaging.gate import inspect
from pipeline.ports import Picture
from pipeline.renderers.scenery import draw_scenery
from pipeline.renderers.synthetic import SyntheticKind, SyntheticRenderer
from pipeline.request import Request
from tests.pipeline.renderers.asking import request_of

KIND = SyntheticKind()
MODEL = KIND.resolve("synthetic")


def loaded(**options: str) -> SyntheticRenderer:
    """A renderer that waits for nothing."""
    return KIND.load(KIND.resolve("synthetic", **options), device="cpu", threads=1)


def picture_of(renderer: SyntheticRenderer, request: Request) -> Picture:
    """One picture, rendered alone."""
    return renderer.decode(renderer.denoise([request], batch_size=1))[0]


@pytest.fixture(scope="module")
def renderer() -> SyntheticRenderer:
    """One for all tests that only render."""
    return loaded()


@given(
    prompt=st.text("abc ", min_size=1), seed=st.integers(0, 999), width=st.integers(1, 20), height=st.integers(1, 20)
)
def test_every_picture_passes_the_gate(
    renderer: SyntheticRenderer, prompt: str, seed: int, width: int, height: int
) -> None:
    """At every size that the unit allows."""
    request = request_of(MODEL, prompt, seed, width=8 * width, height=8 * height)
    inspect(picture_of(renderer, request), 8 * width, 8 * height)


def test_no_two_requests_look_the_same(renderer: SyntheticRenderer) -> None:
    """The id stands in the pixels, so that mixed-up images are found by tests."""
    pictures = {picture_of(renderer, request_of(MODEL, seed=seed)).pixels.tobytes() for seed in range(2000)}
    assert len(pictures) == 2000


def test_pixels_follow_from_the_request_alone() -> None:
    """Neither options nor an earlier life of the renderer nor other shapes in between change them."""
    request = request_of(MODEL, width=256, height=128)
    slow, other = loaded(batch_size="2"), loaded(width="256", height="512")
    for size in range(64, 64 + 8 * 6, 8):
        picture_of(other, request_of(MODEL, width=size))
    assert np.array_equal(picture_of(slow, request).pixels, picture_of(other, request).pixels)


def test_a_picture_belongs_to_its_receiver(renderer: SyntheticRenderer) -> None:
    """Writing into one does not change the next."""
    request = request_of(MODEL)
    first = picture_of(renderer, request).pixels
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(picture_of(renderer, request).pixels, kept)


def test_pictures_larger_than_the_scene_have_their_size(renderer: SyntheticRenderer) -> None:
    """The scene repeats."""
    assert picture_of(renderer, request_of(MODEL, width=1600, height=8)).pixels.shape == (8, 1600, 3)


def test_a_batch_takes_the_set_time_once() -> None:
    """However many requests it has; loading takes its own."""
    waited: list[float] = []
    kind = SyntheticKind(sleep=waited.append)
    renderer = kind.load(kind.resolve("x", seconds_per_batch="0.2", load_seconds="7"), device="cpu", threads=1)
    renderer.denoise([request_of(MODEL, seed=seed) for seed in range(5)], batch_size=8)
    assert waited == [7.0, 0.2]


def test_other_threads_run_while_a_batch_takes_its_time() -> None:
    """The stand-in device holds no lock of Python's, as a GPU would not: encoding goes on beside it."""
    counted, over = [0], threading.Event()

    def count() -> None:
        while not over.is_set():
            counted[0] += 1

    renderer = loaded(seconds_per_batch="0.2")
    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    renderer.denoise([request_of(MODEL)], batch_size=1)
    after = counted[0]
    over.set()
    thread.join()
    assert after > before


def test_loading_fails_with_the_message_asked_for() -> None:
    """A worker that cannot load its model says why."""
    with pytest.raises(ModelUnavailableError, match="the disk is gone"):
        loaded(fail_load="the disk is gone")


def test_a_prompt_can_be_refused(renderer: SyntheticRenderer) -> None:
    """As if the pipeline raised on it."""
    with pytest.raises(BadRequestError):
        renderer.denoise([request_of(MODEL), request_of(MODEL, "a [[bad-request]]")], batch_size=2)


def test_a_prompt_can_be_too_large_for_a_batch(renderer: SyntheticRenderer) -> None:
    """It fits alone."""
    request = request_of(MODEL, "a [[oom]]")
    with pytest.raises(OutOfMemoryError):
        renderer.denoise([request], batch_size=2)
    inspect(picture_of(renderer, request), request.variant.width, request.variant.height)


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ("a [[black]] cat", BadOutputError, "black"),
        ("a [[nan]] cat", BadOutputError, "NaN"),
        ("a [[blank]] cat", SafetyBlankedError, "safety checker"),
    ],
)
def test_a_prompt_can_ask_for_a_picture_that_the_gate_refuses(
    renderer: SyntheticRenderer, prompt: str, error: type[Exception], message: str
) -> None:
    """Each for its own reason."""
    request = request_of(MODEL, prompt)
    with pytest.raises(error, match=message):
        inspect(picture_of(renderer, request), request.variant.width, request.variant.height)


@pytest.mark.parametrize(
    "options",
    [
        {"batchsize": "2"},
        {"batch_size": "0"},
        {"width": "-8"},
        {"height": "x"},
        {"seconds_per_batch": "nan"},
        {"seconds_per_batch": "-1"},
        {"load_seconds": "soon"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, str]) -> None:
    """At submit, by name."""
    with pytest.raises(ModelError, match=next(iter(options))):
        KIND.resolve("synthetic", **options)


def test_scenery_follows_from_its_seed() -> None:
    """Another seed, another picture; the same seed, the same one."""
    assert np.array_equal(draw_scenery(70, 50, seed=5), draw_scenery(70, 50, seed=5))
    assert not np.array_equal(draw_scenery(70, 50, seed=5), draw_scenery(70, 50, seed=6))


def test_scenery_has_the_pixels_that_it_always_had() -> None:
    """Its bits are part of this renderer's pixel version: sums of a small one, as first drawn."""
    pixels = draw_scenery(16, 8, seed=1)
    assert pixels.shape == (8, 16, 3)
    assert pixels.astype(np.int64).sum(axis=(0, 1)).tolist() == SUMS


SUMS = [22570, 23481, 21740]
"""Of red, green and blue over 8 x 16 pixels."""
