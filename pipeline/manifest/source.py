"""Bytes of a manifest, decompressed as they stream; a truncated or damaged archive is named with its remedy."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

import pyarrow as pa

from pipeline.manifest.problems import FieldError

_BUFFER = 1 << 20
_MAGIC = ((b"\x1f\x8b", "gzip", ".gz"), (b"\x28\xb5\x2f\xfd", "zstd", ".zst"))


def open_bytes(stream: BinaryIO, name: str) -> BinaryIO:
    """The manifest's plain bytes: gzip and Zstandard are told by their first bytes, whatever the name.

    Args:
        stream: at its beginning; need not be seekable; stays open and is the caller's to close.
        name: its suffix must not promise a compression that is not there.

    Raises:
        FieldError: the name says compressed and the content is not.
    """
    start, stream = peek(stream, 4)
    for magic, codec, suffix in _MAGIC:
        if start.startswith(magic):
            return cast("BinaryIO", io.BufferedReader(_Decompressed(stream, codec), _BUFFER))
        if name.lower().endswith(suffix):
            found = "the file is empty" if not start else f"the content is not {codec}"
            raise FieldError(f"the name ends with {suffix}, but {found}; copy the file again, or name it as what it is")
    return stream


def peek(stream: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """The first `size` bytes (fewer at the end of the file), and a buffered stream with them still in front."""
    start = _read_up_to(stream, size)
    if isinstance(stream, io.BufferedIOBase) and stream.seekable():
        stream.seek(-len(start), io.SEEK_CUR)
        return start, stream
    return start, cast("BinaryIO", io.BufferedReader(_Prefixed(start, stream), _BUFFER))


@contextmanager
def seekable(stream: BinaryIO) -> Iterator[IO[bytes]]:
    """The stream itself when one can seek in it, else its content in an unnamed temporary file. Raises: FieldError."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(stream, copy, _BUFFER)
        copy.seek(0)
        yield copy


def _read_up_to(stream: BinaryIO, size: int) -> bytes:
    """Read until `size` bytes or the end: a pipe may bring less at a time."""
    start = b""
    while len(start) < size and (block := stream.read(size - len(start))):
        start += block
    return start


class _Prefixed(io.RawIOBase):
    """A stream with bytes put back in front of it."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = self._start[: len(buffer)] or self._rest.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


class _Borrowed:
    """A stream as Arrow reads it, without the right to close what is the caller's."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.read = stream.read

    def close(self) -> None:
        """Leave it open."""


class _Decompressed(io.RawIOBase):
    """A stream decompressed by Arrow, which (unlike most readers) tells a truncated archive from a whole one."""

    def __init__(self, stream: BinaryIO, codec: str) -> None:
        self._codec = codec
        self._stream = pa.CompressedInputStream(pa.PythonFile(_Borrowed(stream), mode="r"), codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            block: bytes = self._stream.read(len(buffer))
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the stream underneath failed, not the archive
            kind = "cut off" if "runcated" in str(error) else "damaged"
            raise FieldError(
                f"the {self._codec} archive is {kind} here; copy the file again or compress it anew"
            ) from error
        buffer[: len(block)] = block
        return len(block)
