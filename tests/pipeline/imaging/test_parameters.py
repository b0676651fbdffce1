"""The text for other tools."""

from dataclasses import replace

from hypothesis import given

from pipeline.imaging.parameters import parameters
from pipeline.request import Lora, Request
from tests.pipeline.imaging.asking import request_of, requests


def test_parameters_read_as_a1111_writes_them() -> None:
    """Prompt, negative prompt, and one line of settings in A1111's names and order."""
    assert parameters(request_of("a red fox,\nin snow", negative="blurry")) == (
        "a red fox,\nin snow\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: euler, CFG scale: 7, Seed: 3, Size: 512x768, Model hash: 0123456789, Model: fox"
    )


def test_what_is_not_set_is_left_out() -> None:
    """No negative prompt, no scheduler of its own, and a model that has a hash but no name."""
    request = request_of(scheduler="", model="sha256:abcdef0123456789", guidance_scale=7.5)
    assert parameters(request) == "a red fox\nSteps: 20, CFG scale: 7.5, Seed: 3, Size: 512x768, Model hash: abcdef0123"


def test_values_with_commas_or_colons_are_quoted() -> None:
    """As A1111 does, so that the line can be taken apart again."""
    loras = (Lora(revision="sha256:aa", scale=0.8, source="x"), Lora(revision="sha256:bb", scale=1.0, source="y"))
    assert parameters(request_of(loras=loras)).endswith('Loras: "sha256:aa@0.8, sha256:bb@1"')


@given(requests)
def test_parameters_never_hold_nul(request: Request) -> None:
    """No image format could hold it."""
    assert "\0" not in parameters(replace(request, prompt=request.prompt + "\0"))
