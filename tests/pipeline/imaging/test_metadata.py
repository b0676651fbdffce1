"""What a file says of its origin, read back."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pipeline.assignment import Output
from pipeline.errors import ImageFileError
from pipeline.imaging import png
from pipeline.imaging.encode import encode
from pipeline.imaging.metadata import Metadata, read_request
from pipeline.request import Request
from tests.pipeline.imaging.asking import PIXELS, metadata_of, request_of, requests

FORMATS = ("png", "webp", "jpeg")
LONG = "a fox, 狐 🦊 " * 7000
"""Over 100 kB in UTF-8."""


def file_of(values: Any) -> bytes:
    """A PNG with this JSON in place of ours."""
    return png.encode(PIXELS, [("spotrender", values if isinstance(values, str) else json.dumps(values))])


def changed(**changes: Any) -> dict[str, Any]:
    """Our JSON with members of the request changed, and an image id that no longer fits."""
    values: dict[str, Any] = json.loads(metadata_of(request_of()).full_json())
    values["request"] |= changes
    return values


@given(requests, st.sampled_from(FORMATS))
def test_reading_back_gives_the_request(request: Request, name: str) -> None:
    """Every format, every text, every number."""
    body = encode(PIXELS[:8, :8], Output(format=name), metadata_of(request))
    assert read_request(body) == (request, request.image_id)


@pytest.mark.parametrize("name", ["png", "webp"])
def test_a_prompt_of_100_kb_is_read_back(name: str) -> None:
    """PNG and WebP hold whatever a manifest holds."""
    request = request_of(LONG)
    assert len(LONG.encode()) > 100_000
    assert read_request(encode(PIXELS, Output(format=name), metadata_of(request))) == (request, request.image_id)


def test_a_jpeg_gives_up_the_text_for_others_before_our_own() -> None:
    """A prompt of 40 kB fits once, not twice."""
    request = request_of("fox " * 10_000)
    body = encode(PIXELS, Output(format="jpeg"), metadata_of(request))
    assert b"UNICODE" not in body
    assert read_request(body) == (request, request.image_id)


def test_a_jpeg_that_cannot_hold_the_request_names_its_id() -> None:
    """The error says where else to look."""
    request = request_of(LONG)
    body = encode(PIXELS, Output(format="jpeg"), metadata_of(request))
    with pytest.raises(ImageFileError, match=rf"did not fit into this JPEG.*{request.image_id}"):
        read_request(body)


def test_our_json_is_the_documented_one() -> None:
    """Image id, request, schema; outside readers may rely on it."""
    request = request_of()
    values = json.loads(metadata_of(request).full_json())
    assert set(values) == {"image_id", "request", "schema"}
    assert values["request"] == json.loads(request.canonical())


def test_a_file_saved_again_with_its_texts_is_still_read() -> None:
    """Also when another program compresses the texts."""
    request = request_of("a fox in snow " * 20)
    text = metadata_of(request).full_json()
    for international in (False, True):
        kept, file = PngImagePlugin.PngInfo(), io.BytesIO()
        if international:
            kept.add_itxt("spotrender", text, zip=True)
        else:
            kept.add_text("spotrender", text, zip=True)
        Image.fromarray(PIXELS).save(file, "PNG", pnginfo=kept)
        assert b"fox" not in file.getvalue()
        assert read_request(file.getvalue()) == (request, request.image_id)


@pytest.mark.parametrize("name", FORMATS)
def test_an_image_without_our_text_is_named_so(name: str) -> None:
    """Another tool's, or one of a job with `metadata: none`."""
    with pytest.raises(ImageFileError, match="carries no Spotrender text"):
        read_request(encode(PIXELS, Output(format=name), None))


def test_another_tools_parameters_are_not_taken_for_ours() -> None:
    """An A1111 image is an image, but says nothing exact."""
    with pytest.raises(ImageFileError, match="carries no Spotrender text"):
        read_request(png.encode(PIXELS, [("parameters", "a fox\nSteps: 20")]))


def test_an_edited_request_is_recognised() -> None:
    """The id is the request's hash."""
    with pytest.raises(ImageFileError, match="was edited"):
        read_request(file_of(changed(prompt="another fox")))


def test_a_newer_schema_is_refused_by_name() -> None:
    """Rather than half understood."""
    values = json.loads(metadata_of(request_of()).full_json()) | {"schema": 2}
    with pytest.raises(ImageFileError, match="schema 2, this version reads 1"):
        read_request(file_of(values))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": 7},
        {"prompt": "\ud800"},
        {"seed": True},
        {"seed": 1.5},
        {"seed": 2**32},
        {"seed": -1},
        {"seed": 10**400},
        {"width": "64"},
        {"guidance_scale": "7"},
        {"guidance_scale": 10**400},
        {"loras": {}},
        {"loras": [7]},
        {"loras": [{"revision": "x"}]},
        {"schema": 99},
    ],
    ids=lambda changes: str(changes)[:30],
)
def test_members_of_other_types_are_refused(changes: dict[str, Any]) -> None:
    """A file may hold anything; what comes back is a request or an error."""
    with pytest.raises(ImageFileError, match="holds no request"):
        read_request(file_of(changed(**changes)))


@pytest.mark.parametrize(
    "text",
    ["", "{", "7", "[]", "{}", "null", '{"image_id": NaN}', '{"image_id": 1e999}', "[" * 200_000, "1" * 10_000],
    ids=range(10),
)
def test_broken_json_is_refused(text: str) -> None:
    """However deep or long it is."""
    with pytest.raises(ImageFileError):
        read_request(file_of(text))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.dictionaries(st.sampled_from(["image_id", "request", "schema", "prompt", "loras"]), inner)
            | st.lists(inner)
        ),
    )
)
def test_any_json_is_an_error_and_nothing_worse(values: Any) -> None:
    """Only our own error leaves, with a message of bearable length."""
    with pytest.raises(ImageFileError) as caught:
        read_request(file_of(values))
    assert len(str(caught.value)) < 300


def test_the_image_id_is_the_callers() -> None:
    """A file never names another id than the one it is stored under."""
    request = request_of()
    with pytest.raises(ImageFileError, match="was edited"):
        read_request(encode(PIXELS, Output(), Metadata(request=request, image_id="0" * 64)))
