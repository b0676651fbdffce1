"""Parquet: a column a field, read in small batches; `line` of its rows is the 1-based row number."""

from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from pipeline.manifest.csv_rows import TAG_HINT, TAG_PREFIX, merge_tags, read_header
from pipeline.manifest.problems import Problems, escaped
from pipeline.manifest.row import Row, row_of

_BATCH_ROWS = 2048
_BUFFER = 1 << 20
_WHOLE_FIELDS = frozenset({"seed", "width", "height", "steps"})


def read_parquet(stream: IO[bytes], problems: Problems) -> Iterator[Row]:
    """Rows of a Parquet manifest.

    Args:
        stream: one can seek in it.
        problems: takes what is found; problems of a column are the whole file's.
    """
    try:
        file = pq.ParquetFile(stream, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        _raise_if_of_the_stream(error)
        problems.add(None, "is not a whole Parquet file; copy it again, or name it as what it is")
        return
    columns = _columns(file.schema_arrow, problems)
    if columns is None:
        return
    read = sorted({name for name in columns if name is not None})
    line = 0
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=read, use_threads=False):
            for values in _batch_values(batch, line, problems):
                line += 1
                yield row_of(values, line, problems, tag_hint=TAG_HINT)
    except (pa.ArrowException, OSError) as error:
        _raise_if_of_the_stream(error)
        problems.add(line + 1, "the Parquet file is damaged here; copy it again or write it anew")


def _raise_if_of_the_stream(error: Exception) -> None:
    """Pass on what failed below Arrow: the disk, not the file's content."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _columns(schema: pa.Schema, problems: Problems) -> list[str | None] | None:
    """The columns to read, those of a wrong type reported and left out; None when no row can be read."""
    known = read_header(schema.names, problems, None)
    if known is None:
        return None
    for place, name in enumerate(known):
        wanted = None if name is None else _wrong_type(name, schema.field(place).type)
        if wanted is not None:
            found = escaped(str(schema.field(place).type))[:60]
            problems.add(None, f"column {escaped(name or '')} must hold {wanted}, it holds {found}; cast it")
            known[place] = None
    return known if "prompt" in known else None


def _wrong_type(name: str, kind: pa.DataType) -> str | None:
    """What the column should hold, or None if it does."""
    if pt.is_null(kind):
        return None
    if name in _WHOLE_FIELDS:
        hint = " (pandas makes floats of whole numbers with gaps: use its Int64)" if pt.is_floating(kind) else ""
        return None if pt.is_integer(kind) else f"whole numbers{hint}"
    if name == "guidance_scale":
        return None if pt.is_floating(kind) or pt.is_integer(kind) else "numbers"
    if name == "loras":
        return None if _is_list(kind) else "lists of text, or of {source, scale}"
    if name == "tags":
        return None if pt.is_map(kind) or pt.is_struct(kind) else "a map or struct of text"
    return None if _is_text(kind) else "text"


def _is_text(kind: pa.DataType) -> bool:
    value = kind.value_type if pt.is_dictionary(kind) else kind
    return bool(pt.is_string(value) or pt.is_large_string(value) or pt.is_string_view(value))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind) or pt.is_list_view(kind))


def _batch_values(batch: pa.RecordBatch, before: int, problems: Problems) -> Iterator[dict[str, object]]:
    """The rows of a batch as field name -> value; `before` rows came earlier."""
    names = batch.schema.names
    columns = [_values(name, column, before, problems) for name, column in zip(names, batch.columns, strict=True)]
    if "prompt" not in names:
        return
    tagged = any(name.startswith(TAG_PREFIX) for name in names)
    for cells in zip(*columns, strict=True):
        values: dict[str, object] = dict(zip(names, cells, strict=True))
        yield merge_tags(values) if tagged else values


def _values(name: str, column: pa.Array, before: int, problems: Problems) -> list[Any]:
    """A column as Python values; text that is not UTF-8 is reported and becomes None."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = [_value(name, column, place, before, problems) for place in range(len(column))]
    if name == "tags":
        return [None if value is None else _tags(value) for value in values]
    return values


def _value(name: str, column: pa.Array, place: int, before: int, problems: Problems) -> object:
    try:
        return column[place].as_py()
    except UnicodeDecodeError:
        problems.add(before + place + 1, f"{name} is not UTF-8; write the column as text in UTF-8")
        return None


def _tags(value: object) -> dict[str, object]:
    """A map or struct as a dictionary, open members left out."""
    pairs = value.items() if isinstance(value, dict) else value
    return {key: text for key, text in pairs if text is not None}  # type: ignore[attr-defined]
