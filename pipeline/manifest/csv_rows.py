"""CSV: a header line, commas, double quotes; an empty cell leaves its field open, a row of blank cells is no row."""

import csv
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from pipeline.manifest.jsonl import parse_cell
from pipeline.manifest.lines import decoded, read_lines
from pipeline.manifest.problems import FieldError, Problems, shown
from pipeline.manifest.row import FIELDS, Row, row_of, unknown_field

TAG_PREFIX = "tag:"
"""A column of this prefix is a tag."""

TAG_HINT = "tag:%s"
"""How a free column is named."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_WHOLE_FIELDS = frozenset({"seed", "width", "height", "steps"})


def read_csv(stream: BinaryIO, problems: Problems) -> Iterator[Row]:
    """Rows of a CSV manifest; a record that does not fit the header is reported and left out."""
    lines = _Lines(stream, problems)
    records = csv.reader(lines, strict=True)
    columns: list[str | None] | None = None
    while True:
        lines.first = 0
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add(lines.first, _broken(str(error)))
            if columns is None or "end of data" in str(error) or "field limit" in str(error):
                return
            continue
        if not any(map(str.strip, cells)):
            continue
        if columns is None:
            columns = read_header(cells, problems, lines.first)
            if columns is None:
                return
        elif len(cells) != len(columns):
            problems.add(
                lines.first,
                f"has {len(cells)} cells where the header names {len(columns)} columns; "
                "put double quotes round a cell that holds a comma",
            )
        else:
            values = _values(columns, cells, lines.first, problems)
            yield row_of(values, lines.first, problems, tag_hint=TAG_HINT)


def read_header(names: Sequence[str], problems: Problems, line: int | None) -> list[str | None] | None:
    """The columns' names with unknown ones as None; None for all when no row can be read under this header."""
    if len(names) == 1 and re.search(r"[;\t]", names[0]):
        mark = "semicolons" if ";" in names[0] else "tabs"
        problems.add(line, f"the columns are parted by {mark}; save the file with commas")
        return None
    known: list[str | None] = []
    for name in names:
        column = name if name in FIELDS or _tag_name(name) else None
        if column is None:
            problems.add(line, unknown_field(name, TAG_HINT) if name else "a column has no name; name it or remove it")
        elif name in known:
            problems.add(line, f"column {shown(name)} comes twice; keep one of them")
            column = None
        known.append(column)
    if "prompt" not in known:
        problems.add(line, "there is no column prompt; the first line must name the columns, such as prompt,seed")
        return None
    return known


def merge_tags(values: dict[str, object]) -> dict[str, object]:
    """The same values, with every `tag:NAME` moved under `tags`."""
    free = {name[len(TAG_PREFIX) :]: values.pop(name) for name in list(values) if name.startswith(TAG_PREFIX)}
    given = {name: text for name, text in free.items() if text is not None}
    tags = values.get("tags")
    if given and (tags is None or isinstance(tags, dict)):
        values["tags"] = (tags or {}) | given
    return values


def _tag_name(column: str) -> bool:
    return column.startswith(TAG_PREFIX) and len(column) > len(TAG_PREFIX)


def _values(columns: Sequence[str | None], cells: Sequence[str], line: int, problems: Problems) -> dict[str, object]:
    """The cells that are given, as the types that they stand for."""
    values: dict[str, object] = {}
    tagged = False
    for name, cell in zip(columns, cells, strict=True):
        if name is None or (not cell and name != "prompt"):
            continue
        tagged = tagged or name.startswith(TAG_PREFIX)
        try:
            values[name] = _typed(name, cell)
        except FieldError as error:
            problems.add(line, f"{name} {error}")
    return merge_tags(values) if tagged else values


def _typed(name: str, cell: str) -> object:
    """What a cell stands for; a cell that is no number stays text, and its check says so."""
    if name in _WHOLE_FIELDS:
        text = cell.strip(" ")
        return int(text) if _WHOLE.fullmatch(text) else cell
    if name == "guidance_scale":
        text = cell.strip(" ")
        return float(text) if _NUMBER.fullmatch(text) else cell
    if name == "loras":
        return parse_cell(cell) if cell.startswith("[") else [cell]
    if name == "tags":
        return parse_cell(cell) if cell.startswith("{") else cell
    return cell


def _broken(reason: str) -> str:
    """What to say of a record that the CSV reader refuses."""
    if "end of data" in reason or "field limit" in reason:
        return 'a double quote opened here is never closed; inside a cell write "" for each double quote'
    if "new-line" in reason:
        return "a bare carriage return stands in the line; end lines with \\n (tr '\\r' '\\n')"
    return f'not CSV: {reason}; put the whole cell in double quotes and write "" for each one inside'


class _Lines(Iterator[str]):
    """Decoded lines for the CSV reader, remembering on which line its record began."""

    def __init__(self, stream: BinaryIO, problems: Problems) -> None:
        self.first = 0
        self._lines = read_lines(stream, problems)
        self._problems = problems

    def __next__(self) -> str:
        number, line = next(self._lines)
        self.first = self.first or number
        try:
            return decoded(line)
        except FieldError as error:
            self._problems.add(number, str(error))
            return line.decode("utf-8", errors="replace")  # keeps the quotes in step; nothing of it is rendered
