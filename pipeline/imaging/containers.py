"""Our JSON text out of the bytes of a PNG, WebP or JPEG, whoever wrote them: no pixels are decoded, sizes are bounded.

A picture that claims a billion pixels, a text that unpacks to gigabytes or a directory that points outside the file
costs nothing but an error.
"""

import struct
import zlib
from collections.abc import Iterator

from pipeline.errors import ImageFileError
from pipeline.imaging.png import SIGNATURE

KEYWORD = "spotrender"
"""The PNG keyword of our JSON; elsewhere it is EXIF's `ImageDescription`."""

MAX_TEXT_BYTES = 16 * 2**20
"""A longer text is refused."""

MAX_CHUNKS = 65_536
"""A file of more chunks is refused; Pillow's own need so many for 4 GiB."""

IMAGE_DESCRIPTION = 0x010E
"""EXIF tag that holds our JSON."""

_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_EXIF = b"Exif\0\0"
_ASCII = 2
"""EXIF type of a text."""


def our_text(body: bytes) -> str:
    """Our JSON, not yet parsed.

    Raises:
        ImageFileError: no PNG, WebP or JPEG; damaged; or without a text of ours.
    """
    try:
        text = _find(body)
        if text is None:
            raise ImageFileError(
                "the image carries no Spotrender text: rendered elsewhere, with metadata: none, or re-saved without it"
            )
        if len(text) > MAX_TEXT_BYTES:
            raise ImageFileError(f"the image's Spotrender text is longer than {MAX_TEXT_BYTES} bytes: it is not ours")
        return text.decode("utf-8")
    except (struct.error, zlib.error, UnicodeDecodeError, IndexError) as error:
        raise ImageFileError("the image file is damaged: its texts cannot be read") from error


def _find(body: bytes) -> bytes | None:
    """Our text as UTF-8."""
    if body.startswith(SIGNATURE):
        return _png_text(body)
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        exif = next((chunk for kind, chunk in _webp_chunks(body) if kind == b"EXIF"), None)
        return None if exif is None else _description(exif.removeprefix(_EXIF))
    if body.startswith(b"\xff\xd8\xff"):
        exif = next((part for kind, part in _jpeg_segments(body) if kind == 0xE1 and part.startswith(_EXIF)), None)
        return None if exif is None else _description(exif.removeprefix(_EXIF))
    raise ImageFileError("the file is no PNG, WebP or JPEG image")


def _png_text(body: bytes) -> bytes | None:
    """The text of our keyword, from whichever of PNG's three kinds of text chunk."""
    keyword = KEYWORD.encode() + b"\0"
    for kind, chunk in _png_chunks(body):
        if not chunk.startswith(keyword):
            continue
        rest = chunk[len(keyword) :]
        if kind == b"tEXt":
            return rest.decode("latin-1").encode("utf-8")
        if kind == b"zTXt":
            return _unpacked(rest[1:]).decode("latin-1").encode("utf-8")
        packed = rest[0] == 1
        text = rest[2:].split(b"\0", 2)[2]
        return _unpacked(text) if packed else text
    return None


def _png_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of each chunk; the check sums of those with text are verified."""
    position = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        size, kind = struct.unpack_from(">I4s", body, position)
        if kind == b"IEND":
            return
        end = position + 8 + size
        (checksum,) = struct.unpack_from(">I", body, end)
        chunk = body[position + 8 : end] if kind in _TEXT_CHUNKS else b""
        if chunk and zlib.crc32(chunk, zlib.crc32(kind)) != checksum:
            raise ImageFileError(f"the image file is damaged: a {kind.decode('latin-1')!r} chunk fails its check sum")
        yield kind, chunk
        position = end + 4
    raise ImageFileError(f"the image file has more than {MAX_CHUNKS} chunks")


def _unpacked(packed: bytes) -> bytes:
    """A deflated text, unpacked no further than is needed to see that it is too long."""
    return zlib.decompressobj().decompress(packed, MAX_TEXT_BYTES + 1)


def _webp_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and body of each chunk of a RIFF file."""
    position = 12
    for _ in range(MAX_CHUNKS):
        if position >= len(body):
            return
        kind, size = struct.unpack_from("<4sI", body, position)
        end = position + 8 + size
        if end > len(body):
            raise ImageFileError("the image file is damaged: it ends within a chunk")
        yield kind, body[position + 8 : end] if kind == b"EXIF" else b""
        position = end + size % 2
    raise ImageFileError(f"the image file has more than {MAX_CHUNKS} chunks")


def _jpeg_segments(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment before the pixels."""
    position = 2
    for _ in range(MAX_CHUNKS):
        lead, marker, size = struct.unpack_from(">BBH", body, position)
        if lead != 0xFF or size < 2:
            raise ImageFileError("the image file is damaged: a segment does not begin where it should")
        if marker in {0xDA, 0xD9}:
            return
        yield marker, body[position + 4 : position + 2 + size]
        position += 2 + size
    raise ImageFileError(f"the image file has more than {MAX_CHUNKS} segments")


def _description(tiff: bytes) -> bytes | None:
    """The `ImageDescription` of an EXIF block's first directory; other entries are not looked at."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise ImageFileError("the image file is damaged: its EXIF block has no header")
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, directory)
    for index in range(entries):
        at = directory + 2 + 12 * index
        tag, kind, size = struct.unpack_from(order + "HHI", tiff, at)
        if tag != IMAGE_DESCRIPTION:
            continue
        start = at + 8 if size <= 4 else struct.unpack_from(order + "I", tiff, at + 8)[0]
        text = tiff[start : start + size].rstrip(b"\0")
        return text if kind == _ASCII and text.startswith(b"{") else None
    return None
