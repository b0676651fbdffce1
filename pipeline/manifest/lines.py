"""Lines of a text manifest: numbered, bounded, and with the byte order mark of UTF-8 taken off."""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from pipeline.manifest.problems import FieldError, Problems

LINE_LIMIT = 1_000_000
"""Bytes of a line; a longer one is refused without being held in memory."""

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_lines(stream: BinaryIO, problems: Problems) -> Iterator[tuple[int, bytes]]:
    """Each line with its 1-based number and its line end; a line that is too long is reported and left out.

    Stops early, with a problem, at a damaged archive and at UTF-16.
    """
    number = 0
    try:
        for number, line in enumerate(iter(partial(stream.readline, LINE_LIMIT + 1), b""), 1):
            if number == 1:
                if line.startswith(_UTF16):
                    problems.add(1, "the file is UTF-16; save it as UTF-8 (such as iconv -f UTF-16 -t UTF-8)")
                    return
                line = line.removeprefix(_BOM)  # noqa: PLW2901
            if len(line) > LINE_LIMIT:
                problems.add(number, f"the line has more than {LINE_LIMIT:,} bytes; one row stands on one line")
                _skip_line(stream, line)
                continue
            yield number, line
    except FieldError as error:
        problems.add(number + 1, str(error))


def decoded(line: bytes) -> str:
    """The line as text. Raises: FieldError: it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FieldError(
            f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8; "
            "save the file as UTF-8 (from Latin-1: iconv -f LATIN1 -t UTF-8)"
        ) from None


def _skip_line(stream: BinaryIO, line: bytes) -> None:
    """Read on to the end of a line that is too long."""
    while line and not line.endswith(b"\n"):
        line = stream.readline(LINE_LIMIT)
