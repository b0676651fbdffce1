"""The PNG encoder, read back by Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.imaging import png
from pipeline.imaging.png import Pixels
from pipeline.renderers.scenery import draw_scenery

SIZES = st.integers(1, 70)


def decoded(body: bytes) -> Pixels:
    """The pixels as Pillow reads them."""
    with Image.open(io.BytesIO(body)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


@st.composite
def pictures(draw: st.DrawFn) -> Pixels:
    """Pictures that suit each filter, and some that suit none."""
    height, width, seed = draw(SIZES), draw(SIZES), draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    kind = draw(st.sampled_from(["noise", "flat", "rows", "columns", "extremes", "scenery"]))
    if kind == "flat":
        noise[:] = noise[0, 0]
    elif kind == "rows":
        noise[:] = noise[:, :1]
    elif kind == "columns":
        noise[:] = noise[:1]
    elif kind == "extremes":
        noise = np.where(noise > 127, np.uint8(255), np.uint8(0))
    elif kind == "scenery":
        noise = draw_scenery(width, height, seed=seed)
    return noise


@given(pictures())
def test_every_picture_decodes_to_the_same_pixels(pixels: Pixels) -> None:
    """Whatever its shape and content, down to one pixel."""
    assert np.array_equal(decoded(png.encode(pixels)), pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (777, 1025), (3, 200_000)])
def test_odd_shapes_decode_to_the_same_pixels(shape: tuple[int, int]) -> None:
    """Single rows and columns, and rows wider than a band of the filter."""
    pixels = draw_scenery(shape[1], shape[0])
    assert np.array_equal(decoded(png.encode(pixels)), pixels)


def test_the_filter_suits_the_picture() -> None:
    """Equal columns are filtered upward, equal rows to the left, and photographs by both."""
    row = np.random.default_rng(1).integers(0, 256, (1, 64, 3), dtype=np.uint8)
    assert filters(np.repeat(row, 64, axis=0)) == {2}
    assert filters(np.repeat(row.transpose(1, 0, 2), 64, axis=1)) == {1}
    assert filters(draw_scenery(256, 256)) == {3}


def filters(pixels: Pixels) -> set[int]:
    """The filter types in a file's rows."""
    height, width, _ = pixels.shape
    chunk = png.encode(pixels)[8 + 25 :]
    raw = np.frombuffer(zlib.decompress(chunk[8:-16]), np.uint8)
    return set(raw.reshape(height, 1 + 3 * width)[:, 0].tolist())


@pytest.mark.parametrize("grain", [0.0, 1.5, 3.0, 6.0])
def test_photographs_stay_near_pillows_size(grain: float) -> None:
    """No more than 1.2 times Pillow's default, from a perfectly clean photograph to a noisy one."""
    pixels = draw_scenery(512, 512, grain=grain)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    assert len(png.encode(pixels)) <= 1.2 * len(file.getvalue())


def test_views_are_encoded_as_what_they_show() -> None:
    """A slice, a mirror and a transposed picture need no copy by the caller."""
    pixels = draw_scenery(40, 30)
    for view in (pixels[::2, 3:], pixels[:, ::-1], pixels.transpose(1, 0, 2)):
        assert np.array_equal(decoded(png.encode(view)), view)


@given(st.lists(st.tuples(st.sampled_from(["parameters", "spotrender", "a" * 79]), st.text('aé😀\n"ع', max_size=40))))
def test_texts_are_read_back_by_pillow(pairs: list[tuple[str, str]]) -> None:
    """Latin-1 or not, each keyword's last text is the one that stands."""
    with Image.open(io.BytesIO(png.encode(draw_scenery(8, 8), pairs))) as image:
        image.load()
        assert {keyword: str(text) for keyword, text in image.info.items()} == dict(pairs)


def test_latin_texts_go_where_every_reader_looks() -> None:
    """A1111 and Pillow write `tEXt` when they can and `iTXt` when they must, and so do we."""
    body = png.encode(draw_scenery(8, 8), [("parameters", "café"), ("spotrender", "狐")])
    assert b"tEXtparameters\0caf\xe9" in body
    assert b"iTXtspotrender\0\0\0\0\0" + "狐".encode() in body


@given(pictures(), st.text('aé😀\n"', max_size=20))
def test_every_chunk_has_its_length_and_check_sum(pixels: Pixels, text: str) -> None:
    """The chunks join up without a gap from IHDR to IEND, each with the CRC of its type and body."""
    body = png.encode(pixels, [("parameters", text)])
    place, kinds = len(png.SIGNATURE), []
    while place < len(body):
        size, kind = struct.unpack_from(">I4s", body, place)
        checked = body[place + 4 : place + 8 + size]
        assert body[place + 8 + size : place + 12 + size] == struct.pack(">I", zlib.crc32(checked))
        kinds.append(kind)
        place += 12 + size
    assert place == len(body)
    assert [kinds[0], *kinds[2:]] == [b"IHDR", b"IDAT", b"IEND"]


def test_equal_pictures_are_equal_files() -> None:
    """The bytes follow from pixels and texts alone."""
    pixels, texts = draw_scenery(64, 64), [("parameters", "a fox")]
    assert png.encode(pixels, texts) == png.encode(pixels.copy(), list(texts))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_rgb_picture_is_refused(pixels: Pixels) -> None:
    """Grey, alpha, floats and empty pictures are a caller's mistake."""
    with pytest.raises(ValueError, match="height x width x 3 of uint8"):
        png.encode(pixels)


@pytest.mark.parametrize("pair", [("", "x"), ("a" * 80, "x"), ("a\0b", "x"), ("a", "x\0y")])
def test_texts_that_png_cannot_hold_are_refused(pair: tuple[str, str]) -> None:
    """Rather than written so that readers cut them off."""
    with pytest.raises(ValueError, match="PNG cannot hold"):
        png.encode(draw_scenery(8, 8), [pair])
