"""One picture and what it says of itself, as the bytes of a file."""

import io

from PIL import Image

from pipeline.assignment import Output
from pipeline.errors import BadOutputError
from pipeline.imaging import png
from pipeline.imaging.containers import IMAGE_DESCRIPTION, KEYWORD
from pipeline.imaging.metadata import Metadata
from pipeline.imaging.parameters import parameters

_EXIF_DIRECTORY = 0x8769
_USER_COMMENT = 0x9286
_MAX_JPEG_EXIF_BYTES = 65_533
"""A JPEG segment's size is two bytes, which count themselves."""
_WEBP_EFFORT = 2
"""0 (fast) to 6 (small): 2 takes half the time of Pillow's own 4 and gives its size."""
_LONGEST_SIDES = {"png": 2**31 - 1, "webp": 16_383, "jpeg": 65_535}
"""Pixels, by the formats' specifications."""
_EXTENSIONS = {"png": "png", "webp": "webp", "jpeg": "jpg"}


def extension(output: Output) -> str:
    """The file name's ending, without the dot: `png`, `webp` or `jpg`."""
    return _EXTENSIONS[output.format]


def size_problem(output: Output, width: int, height: int) -> str | None:
    """Why a file of this format cannot hold a picture of this size, or None."""
    longest = _LONGEST_SIDES[output.format]
    if max(width, height) <= longest:
        return None
    return (
        f"a {output.format} picture has at most {longest} pixels a side, got {width}x{height}; choose output.format png"
    )


def encode(pixels: png.Pixels, output: Output, metadata: Metadata | None) -> bytes:
    """A picture as a file of `output.format`; the same arguments give the same bytes, by the same libraries.

    The file carries `metadata` unless that is None or `output.metadata` is `none`. A1111 and others read the
    `parameters` text: a PNG's text chunk, elsewhere EXIF's `UserComment`. A JPEG holds 64 kB of EXIF: `metadata.py`
    says what gives way.

    Args:
        pixels: height x width x 3, uint8, RGB.
        output: format and quality.
        metadata: what the file says of itself.

    Raises:
        BadOutputError: the format cannot hold a picture of this size.
    """
    height, width = pixels.shape[:2]
    if problem := size_problem(output, width, height):
        raise BadOutputError(problem)
    if output.metadata == "none":
        metadata = None
    if output.format == "png":
        return png.encode(pixels, () if metadata is None else _texts(metadata))
    image = Image.fromarray(pixels)
    file = io.BytesIO()
    if output.format == "webp":
        exif = b"" if metadata is None else _exif(metadata.full_json(), parameters(metadata.request))
        image.save(file, "WEBP", quality=output.quality, method=_WEBP_EFFORT, exif=exif)
    else:
        exif = b"" if metadata is None else _jpeg_exif(metadata)
        image.save(file, "JPEG", quality=output.quality, subsampling="4:4:4", exif=exif)
    return file.getvalue()


def _texts(metadata: Metadata) -> tuple[tuple[str, str], ...]:
    """The two texts of a PNG."""
    return ("parameters", parameters(metadata.request)), (KEYWORD, metadata.full_json())


def _jpeg_exif(metadata: Metadata) -> bytes:
    """The fullest EXIF block that a JPEG can hold."""
    full = metadata.full_json()
    for description, comment in ((full, parameters(metadata.request)), (full, None)):
        block = _exif(description, comment)
        if len(block) <= _MAX_JPEG_EXIF_BYTES:
            return block
    return _exif(metadata.short_json(), None)


def _exif(description: str, comment: str | None) -> bytes:
    """An EXIF block with our JSON as `ImageDescription` and, as A1111 writes it, `parameters` as `UserComment`."""
    exif = Image.Exif()
    exif[IMAGE_DESCRIPTION] = description.encode("utf-8")
    if comment is not None:
        exif[_EXIF_DIRECTORY] = {_USER_COMMENT: b"UNICODE\0" + comment.encode("utf-16-be")}
    return exif.tobytes()
