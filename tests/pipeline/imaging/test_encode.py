"""Files of every format."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.assignment import Output
from pipeline.errors import BadOutputError
from pipeline.imaging.encode import encode, extension
from pipeline.imaging.parameters import parameters
from tests.pipeline.imaging.asking import PIXELS, metadata_of, request_of

FORMATS = ("png", "webp", "jpeg")
REQUEST = request_of('a "red" fox 🦊, ثعلب', negative="blurry")


def opened(body: bytes) -> Image.Image:
    """The image, fully read by Pillow."""
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_shows_the_picture(name: str) -> None:
    """Exactly in PNG, nearly in the others, in the format that the name says."""
    with opened(encode(PIXELS, Output(format=name), metadata_of(REQUEST))) as image:
        assert image.format == name.upper()
        difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - PIXELS)
    assert difference.mean() <= (0 if name == "png" else 6)


def test_extensions_are_the_usual_ones() -> None:
    """What a file manager knows."""
    assert [extension(Output(format=name)) for name in FORMATS] == ["png", "webp", "jpg"]


@pytest.mark.parametrize("name", FORMATS)
def test_equal_requests_are_equal_files(name: str) -> None:
    """The bytes follow from pixels, output and request alone."""
    output = Output(format=name)
    assert encode(PIXELS, output, metadata_of(REQUEST)) == encode(PIXELS.copy(), output, metadata_of(REQUEST))


@pytest.mark.parametrize("name", FORMATS)
def test_metadata_none_keeps_prompts_out_of_the_file(name: str) -> None:
    """Whether the job says so or the caller hands none in."""
    bare = encode(PIXELS, Output(format=name), None)
    assert encode(PIXELS, Output(format=name, metadata="none"), metadata_of(REQUEST)) == bare
    assert b"fox" not in bare
    with opened(bare) as image:
        assert not image.getexif()
        assert "parameters" not in image.info


def test_png_carries_the_text_where_a1111_looks() -> None:
    """Under the keyword `parameters`."""
    with opened(encode(PIXELS, Output(), metadata_of(REQUEST))) as image:
        assert image.info["parameters"] == parameters(REQUEST)


@pytest.mark.parametrize("name", ["webp", "jpeg"])
def test_exif_carries_the_text_where_a1111_looks(name: str) -> None:
    """In `UserComment`, as big-endian UTF-16 after the mark UNICODE."""
    with opened(encode(PIXELS, Output(format=name), metadata_of(REQUEST))) as image:
        comment = image.getexif().get_ifd(0x8769)[0x9286]
    assert comment[:8] == b"UNICODE\0"
    assert comment[8:].decode("utf-16-be") == parameters(REQUEST)


@pytest.mark.parametrize("name", ["webp", "jpeg"])
def test_quality_costs_bytes(name: str) -> None:
    """The output's quality reaches the encoder."""
    small, large = (len(encode(PIXELS, Output(format=name, quality=quality), None)) for quality in (40, 95))
    assert small < large


@pytest.mark.parametrize(("name", "longest"), [("webp", 16_383), ("jpeg", 65_535)])
def test_a_side_that_the_format_cannot_hold_is_refused(name: str, longest: int) -> None:
    """Recorded against the image, with the limit, and not left to the library."""
    with pytest.raises(BadOutputError, match=f"at most {longest} pixels a side"):
        encode(np.zeros((1, longest + 1, 3), np.uint8), Output(format=name), None)
