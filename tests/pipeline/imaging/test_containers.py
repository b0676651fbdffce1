"""Hostile and damaged files."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.assignment import Output
from pipeline.errors import ImageFileError
from pipeline.imaging import png
from pipeline.imaging.containers import MAX_CHUNKS, MAX_TEXT_BYTES, our_text
from pipeline.imaging.encode import encode
from pipeline.imaging.metadata import read_request
from tests.pipeline.imaging.asking import PIXELS, metadata_of, request_of

REQUEST = request_of("a fox, 狐")
FILES = {name: encode(PIXELS[:8, :8], Output(format=name), metadata_of(REQUEST)) for name in ("png", "webp", "jpeg")}


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def test_a_picture_that_claims_a_billion_pixels_costs_nothing() -> None:
    """Texts are read without a look at the pixels, so there is nothing to explode."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0))
    text = chunk(b"iTXt", b"spotrender\0\0\0\0\0" + metadata_of(REQUEST).full_json().encode())
    assert read_request(png.SIGNATURE + header + text)[0] == REQUEST


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_text_that_unpacks_to_gigabytes_is_refused(kind: bytes) -> None:
    """It is unpacked no further than the limit."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(MAX_TEXT_BYTES // 2**20 + 2)) + packer.flush()
    before = b"spotrender\0" + (b"\0" if kind == b"zTXt" else b"\1\0\0\0")
    with pytest.raises(ImageFileError, match="longer than"):
        our_text(png.SIGNATURE + chunk(kind, before + packed))


def test_a_plain_text_beyond_the_limit_is_refused() -> None:
    """Nobody's prompt is that long."""
    with pytest.raises(ImageFileError, match="longer than"):
        our_text(png.SIGNATURE + chunk(b"tEXt", b"spotrender\0" + b"x" * (MAX_TEXT_BYTES + 1)))


@pytest.mark.parametrize(
    "body",
    [
        png.SIGNATURE + chunk(b"aaAa", b"") * (MAX_CHUNKS + 1),
        b"RIFF\0\0\0\0WEBP" + b"AAAA\0\0\0\0" * (MAX_CHUNKS + 1),
        b"\xff\xd8" + b"\xff\xe0\0\2" * (MAX_CHUNKS + 1),
    ],
    ids=["png", "webp", "jpeg"],
)
def test_a_file_of_endless_chunks_is_given_up(body: bytes) -> None:
    """The walk through a file is bounded."""
    with pytest.raises(ImageFileError, match="more than 65536"):
        our_text(body)


@pytest.mark.parametrize("body", [b"", b"GIF89a", b"<svg/>", b"\x89PNG", b"RIFF\0\0\0\0WAVE", b"{}"])
def test_what_is_no_image_of_ours_is_named_so(body: bytes) -> None:
    """The three formats, and no guessing."""
    with pytest.raises(ImageFileError, match="no PNG, WebP or JPEG"):
        our_text(body)


def test_a_flipped_bit_in_the_text_is_found() -> None:
    """PNG's check sum is looked at."""
    damaged = FILES["png"].replace(b"a fox", b"a fix")
    with pytest.raises(ImageFileError, match="fails its check sum"):
        our_text(damaged)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_ends_early_is_an_error_or_still_whole(name: str) -> None:
    """Cut anywhere: either the text had come before the cut, or the error is ours."""
    for length in range(len(FILES[name])):
        try:
            assert read_request(FILES[name][:length])[0] == REQUEST
        except ImageFileError:
            continue


@settings(max_examples=300)
@given(st.data(), st.sampled_from(sorted(FILES)))
def test_damaged_bytes_are_an_error_and_nothing_worse(data: st.DataObject, name: str) -> None:
    """Whatever bytes are overwritten: the same request, or our own error."""
    body = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=4))
        body[place : place + len(patch)] = patch
    try:
        assert read_request(bytes(body))[0] == REQUEST
    except ImageFileError:
        return


@given(
    st.binary(max_size=200),
    st.sampled_from([png.SIGNATURE, b"RIFF\0\0\0\0WEBP", b"\xff\xd8\xff\xe1\0\x40Exif\0\0MM\0*"]),
)
def test_noise_behind_a_good_beginning_is_an_error(noise: bytes, beginning: bytes) -> None:
    """No byte of an image file is trusted."""
    with pytest.raises(ImageFileError):
        read_request(beginning + noise)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_exif_are_read(order: str) -> None:
    """Other programs turn ours around when they save a file again."""
    text = metadata_of(REQUEST).full_json().encode()
    head = b"II*\0" if order == "<" else b"MM\0*"
    tiff = head + struct.pack(order + "IHHHIII", 8, 1, 0x010E, 2, len(text) + 1, 26, 0) + text + b"\0"
    body = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + b"\xff\xda\0\2"
    assert read_request(body)[0] == REQUEST


def test_a_photographs_description_is_not_taken_for_ours(tmp_path: Path) -> None:
    """Cameras use the same EXIF tag for words."""
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x010E] = "OLYMPUS DIGITAL CAMERA"
    Image.fromarray(PIXELS).save(path, exif=exif)
    with pytest.raises(ImageFileError, match="carries no Spotrender text"):
        our_text(path.read_bytes())
