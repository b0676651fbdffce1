"""The files of a bill: Parquet or CSV, told apart by their first bytes, also gzipped; a few columns, as text."""

import csv
import gzip
import io
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.errors import BillError
from pipeline.reports.bill_columns import BillColumns, kind_of

_PARQUET: Final = b"PAR1"
_GZIP: Final = b"\x1f\x8b"
_ROWS: Final = 65_536
_LONGEST_HEADER: Final = 1 << 20
_BLOCK: Final = 4 << 20
_SUFFIXES: Final = (".parquet", ".csv", ".csv.gz", ".parquet.gz")


def bill_paths(path: Path) -> list[Path]:
    """A file, or the files of a folder in the order of their names, as data exports arrive. Raises: BillError."""
    if path.is_dir():
        found = sorted(one for one in path.rglob("*") if one.is_file() and one.name.lower().endswith(_SUFFIXES))
        if not found:
            raise BillError(f"{path}: holds no {', '.join(_SUFFIXES)} file; give the folder that a data export wrote")
        return found
    if not path.exists():
        raise BillError(f"{path}: there is no such file; give a bill in Parquet or CSV, or the folder that holds it")
    return [path]


def bill_batches(path: Path) -> Iterator[tuple[BillColumns, pa.Table]]:
    """A bill's rows, some at a time: the columns that matter under the names of `BillColumns`, all of them text.

    Raises:
        BillError: it cannot be read to its end, or has other columns.
    """
    try:
        with _unpacked(path) as stream:
            start = stream.read(len(_PARQUET))
            stream.seek(0)
            if not start:
                raise BillError(f"{path}: is empty; export the bill again")
            yield from _parquet(stream, path) if start == _PARQUET else _csv(stream, path)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BillError(f"{path}: cannot be read to its end ({reason}); download it again") from error


@contextmanager
def _unpacked(path: Path) -> Iterator[BinaryIO]:
    """The file, or what is in a gzipped one, which is unpacked to disk, for Parquet is not read in order."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not packed:
            yield file
            return
        with gzip.open(file) as content, tempfile.TemporaryFile() as unpacked:
            while block := content.read(_BLOCK):
                unpacked.write(block)
            unpacked.seek(0)
            yield unpacked


def _parquet(stream: BinaryIO, path: Path) -> Iterator[tuple[BillColumns, pa.Table]]:
    with pq.ParquetFile(stream) as file:
        kind, names = _chosen(file.schema_arrow.names, path)
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(names.values())):
            yield kind, _as_text(pa.Table.from_batches([batch]), names)
        if not file.metadata.num_rows:
            empty = file.schema_arrow.empty_table().select(list(names.values()))
            yield kind, _as_text(empty, names)


def _csv(stream: BinaryIO, path: Path) -> Iterator[tuple[BillColumns, pa.Table]]:
    kind, names = _chosen(_header(stream, path), path)
    stream.seek(0)
    columns = list(names.values())
    with pa_csv.open_csv(
        stream,
        read_options=pa_csv.ReadOptions(block_size=_BLOCK),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            include_columns=columns,
            column_types=dict.fromkeys(columns, pa.string()),
            null_values=[""],  # not `NaN`, `null` and the like: an amount that is no number is no zero
            strings_can_be_null=True,
        ),
    ) as reader:
        seen = False
        for batch in reader:
            seen = True
            yield kind, _as_text(pa.Table.from_batches([batch]), names)
        if not seen:
            yield kind, _as_text(reader.schema.empty_table(), names)


def _header(stream: BinaryIO, path: Path) -> list[str]:
    """The names of a CSV file's columns."""
    line = stream.readline(_LONGEST_HEADER)
    if len(line) == _LONGEST_HEADER or b"\0" in line:
        raise BillError(f"{path}: is neither Parquet nor CSV; give an AWS CUR 2.0 or FOCUS export")
    return next(csv.reader(io.StringIO(line.decode("utf-8-sig"))), [])


def _chosen(names: list[str], path: Path) -> tuple[BillColumns, Mapping[str, str]]:
    """The kind of bill, and our name -> the file's own, of the columns that matter. Raises: BillError."""
    found = kind_of(names)
    if isinstance(found, str):
        raise BillError(f"{path}: {found}")
    kind, known = found
    wanted = (*kind.required, kind.quantity, kind.unit, kind.usage)
    return kind, {name: known[name] for name in wanted if name in known}


def _as_text(table: pa.Table, names: Mapping[str, str]) -> pa.Table:
    """Every column as text: doubles by their shortest digits, which are those that the cloud wrote."""
    columns = {}
    for ours, theirs in names.items():
        column = table[theirs]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", tz="UTC" if column.type.tz else None))
        columns[ours] = column.cast(pa.string())
    return pa.table(columns)
