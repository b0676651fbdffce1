"""What is wrong with a manifest: the first 20 problems by line, and the count of all, in bounded memory."""

import bisect

from pipeline.errors import ManifestError

SHOWN = 20
"""So many problems are shown; all are counted."""

_LONGEST_VALUE = 60
"""Characters of a user's value that a message repeats."""


class FieldError(ValueError):
    """A value that cannot stand; caught where its line is known, so it never leaves this package."""


class Problems:
    """Collects problems (or warnings) of one manifest, each as ``file:line: what was found, and the remedy``.

    Args:
        name: the manifest's name as messages show it.
        unit: stands before the number, such as `row ` for Parquet; empty for lines of text.
    """

    def __init__(self, name: str, *, unit: str = "") -> None:
        self.count = 0
        self.unit = unit
        self._name = name
        self._first: list[tuple[int, int, str]] = []

    def add(self, line: int | None, message: str) -> None:
        """Add one problem at a 1-based line or row; None speaks of the whole file."""
        self.count += 1
        place = -1 if line is None else line
        if len(self._first) == SHOWN and place >= self._first[-1][0]:
            return
        text = f"{escaped(self._name)}:{'' if line is None else f'{self.unit}{line}:'} {message}"
        bisect.insort(self._first, (place, self.count, text))
        del self._first[SHOWN:]

    def count_more(self, number: int) -> None:
        """Count problems that are known of, but not worth a message each."""
        self.count += number

    def beside(self) -> "Problems":
        """An empty collection for the same manifest, for warnings."""
        return Problems(self._name, unit=self.unit)

    def messages(self) -> tuple[str, ...]:
        """The first problems, by line."""
        return tuple(text for _, _, text in self._first)

    def raise_any(self) -> None:
        """Raise what was collected. Raises: ManifestError: there was a problem."""
        if self.count:
            raise ManifestError(self.messages(), count=self.count)


def escaped(text: str) -> str:
    r"""The text with every character that a terminal would obey or hide (ESC, bidi marks) written as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def shown(value: object) -> str:
    """A user's value as a message repeats it: on one line, short, and safe for a terminal."""
    if isinstance(value, str):
        short = value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 3] + "..."
        return f'"{escaped(short)}"'
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "a number of more than 20 digits"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    return f"a value of type {type(value).__name__}"
