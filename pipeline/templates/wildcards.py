"""Wildcard files: a line is an option, with a weight if it likes; blank lines and lines that begin with `#` are none.

Each file is read once. What is missing, too large, no text, or in a circle is an error with file, line and column.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.manifest.lines import decoded
from pipeline.manifest.problems import FieldError
from pipeline.templates.parsing import UNIT, is_plain, parse_line
from pipeline.templates.syntax import Option, TemplateError, Text

MAX_WILDCARD_BYTES = 4 * 1024 * 1024
"""Of one file."""

MAX_LINES = 500_000
"""Of all wildcards of a job together."""

ReadWildcard = Callable[[str], tuple[str, bytes]]
"""Name -> the file as messages name it, and what it holds. Raises: TemplateError: there is none, or it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WildcardLine:
    """One option of a wildcard."""

    number: int
    """1-based line of its file."""
    indent: int
    """Characters before it."""
    option: Option


@dataclass(frozen=True, slots=True, kw_only=True)
class WildcardFile:
    """A wildcard as it was written."""

    name: str
    """The file, as messages name it."""
    lines: tuple[WildcardLine, ...]


class WildcardFiles:
    """The wildcards of one job, each read when it is first asked for.

    Args:
        read: gives a file's bytes.
    """

    def __init__(self, read: ReadWildcard) -> None:
        self._read = read
        self._left = MAX_LINES

    def load(self, name: str) -> WildcardFile:
        """Read one file. Raises: TemplateError: with the place in the file, where it has one."""
        shown, body = self._read(name)
        if len(body) > MAX_WILDCARD_BYTES:
            raise TemplateError(f"{shown}: has more than {MAX_WILDCARD_BYTES:,} bytes; split it")
        lines = []
        for number, raw in enumerate(body.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
            try:
                text = decoded(raw)
            except FieldError as error:
                raise TemplateError(f"{shown}:{number}: {error}") from None
            stripped = text.strip()
            if not stripped or stripped.startswith("#"):
                continue
            indent = len(text) - len(text.lstrip())
            lines.append(WildcardLine(number=number, indent=indent, option=_option(stripped, shown, number, indent)))
        self._left -= len(lines)
        if self._left < 0:
            raise TemplateError(f"{shown}: the wildcards hold more than {MAX_LINES:,} lines together; use shorter ones")
        return WildcardFile(name=shown, lines=tuple(lines))


def _option(text: str, shown: str, number: int, indent: int) -> Option:
    """One line. Raises: TemplateError."""
    if is_plain(text) and "::" not in text:
        return Option(weight=UNIT, body=(Text(text=text),))
    try:
        return parse_line(text)
    except TemplateError as error:
        raise TemplateError(f"{shown}:{number}:{indent + (error.column or 1)}: {error.message}") from None
