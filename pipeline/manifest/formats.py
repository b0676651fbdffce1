"""Which reader a manifest gets: by its name, by an explicit format, or by a look at its first bytes."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO

from pipeline.errors import ManifestError
from pipeline.manifest.csv_rows import read_csv
from pipeline.manifest.jsonl import read_jsonl
from pipeline.manifest.parquet_rows import read_parquet
from pipeline.manifest.problems import FieldError, Problems, escaped
from pipeline.manifest.row import FIELDS, Row
from pipeline.manifest.source import open_bytes, peek, seekable
from pipeline.manifest.text import read_text

STDIN = "-"
"""The location that means standard input."""

FORMATS = ("jsonl", "csv", "parquet", "txt")
"""What `format=` takes."""

_SNIFFED = 64 * 1024
_SUFFIXES = MappingProxyType(
    {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".txt": "txt"}
)
_LINES: Mapping[str, Callable[[BinaryIO, Problems], Iterator[Row]]] = MappingProxyType(
    {"jsonl": read_jsonl, "csv": read_csv, "txt": read_text}
)
_OTHER_FILES = (
    (b"PAR1", "parquet", "a Parquet file: name it .parquet"),
    (b"PK\x03\x04", "", "a zip archive or an Excel workbook: save it as CSV in UTF-8"),
    (b"\x89PNG", "", "a picture"),
    (b"SQLite format 3", "", "a SQLite database: export it as CSV"),
)


def read_rows(stream: BinaryIO, name: str, problems: Problems, *, format: str | None = None) -> Iterator[Row]:  # noqa: A002
    """The manifest's rows, typed; what is wrong goes to `problems`.

    Args:
        stream: binary, at its beginning; the caller opens and closes it. For Parquet one can seek in it, or it is
            copied into a temporary file.
        name: the location, for its suffix; `-` is standard input, whose format is told by its content.
        problems: takes every problem; no row can be used before it was seen to be empty.
        format: one of `FORMATS` instead of what the name says.

    Raises:
        ManifestError: the format is not known.
    """
    try:
        plain = open_bytes(stream, name)
        start, content = peek(plain, _SNIFFED if name == STDIN else 16)
    except FieldError as error:
        problems.add(None, str(error))
        return iter(())
    chosen = format or (sniffed(start) if name == STDIN else None) or format_of(name)
    if chosen not in FORMATS:
        raise ManifestError([f"{escaped(name)}: format must be one of {', '.join(FORMATS)}, got {escaped(chosen)}"])
    if chosen == "parquet":
        problems.unit = "row "
        return _read_parquet(content, problems)
    for magic, of, what in _OTHER_FILES:
        if start.startswith(magic) and of != chosen:
            problems.add(None, f"the content is {what}")
            return iter(())
    return _LINES[chosen](content, problems)


def format_of(name: str) -> str:
    """The format that a name's suffix stands for, `.gz` and `.zst` apart. Raises: ManifestError: an unknown suffix."""
    base = name.lower().rpartition("/")[2]
    for packed in (".gz", ".zst"):
        base = base.removesuffix(packed)
    suffix = "." + base.rpartition(".")[2] if "." in base else ""
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix == ".json":
        remedy = "JSON must have one object a line: convert it (jq -c '.[]') and name it .jsonl"
    else:
        remedy = f"name it {', '.join(_SUFFIXES)} (also with .gz or .zst), or give the format ({', '.join(FORMATS)})"
    raise ManifestError([f"{escaped(name)}: the name does not say what format the manifest has; {remedy}"])


def sniffed(start: bytes) -> str:
    """The format that content begins like: Parquet's magic, `{` for JSONL, a CSV header with `prompt`, else text."""
    if start.startswith(b"PAR1"):
        return "parquet"
    text = start.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if text.startswith(("{", "[")):
        return "jsonl"
    header = [cell.strip('" ') for cell in text.partition("\n")[0].strip().split(",")]
    is_header = "prompt" in header and all(cell in FIELDS or cell.startswith("tag:") for cell in header)
    return "csv" if is_header else "txt"


def _read_parquet(content: BinaryIO, problems: Problems) -> Iterator[Row]:
    """Read Parquet from any stream; one that only goes forward passes through a temporary file."""
    try:
        with seekable(content) as file:
            yield from read_parquet(file, problems)
    except FieldError as error:
        problems.add(None, str(error))
