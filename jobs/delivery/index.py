"""What says which file is which image: `index.csv` for people and spreadsheets, `index.parquet` for programs."""

import csv
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.committed import Wanted
from pipeline.manifest.names import name_hash

CSV, PARQUET = "index.csv", "index.parquet"

COLUMNS = pa.schema(
    [
        ("custom_id", pa.string()),  # null where the row gives none
        ("prompt", pa.string()),
        ("seed", pa.int64()),
        ("key", pa.string()),  # in the store
        ("name", pa.string()),  # as it was handed over, with `/` between folders
        ("bytes", pa.int64()),
        ("sha256", pa.string()),  # null where only the key's 16 digits are known
        ("usd", pa.decimal128(18, 9)),  # its GPU time; 0 for reused images, and for the second row of one image
        ("tags", pa.map_(pa.string(), pa.string())),
        ("outcome", pa.string()),
        ("link", pa.string()),  # null where none was asked for
        ("link_expires_at", pa.timestamp("us", tz="UTC")),
    ]
)

_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""What a spreadsheet may take for a formula, in full width too."""

_GROUP_ROWS = 5_000


class Index:
    """Both files, written a group of rows at a time into a folder; rows of an earlier index go on standing.

    Args:
        folder: where to.
        earlier: an `index.parquet` of before; None: there is none.
        still_there: whether the file of an earlier row is still there.
        links: whether the CSV has links, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        earlier: Path | None = None,
        still_there: Callable[[str], bool] = lambda _name: True,
        links: bool = False,
    ) -> None:
        self._earlier, self._still_there = earlier, still_there
        self._columns = [name for name in COLUMNS.names if links or not name.startswith("link")]
        self.csv, self.parquet = folder / f".{CSV}.part", folder / f".{PARQUET}.part"
        self._rows: list[dict[str, Any]] = []
        self._names: list[int] = []
        self._file: TextIO | None = None
        self._table: Any = None

    def __enter__(self) -> Self:
        self._file = self.csv.open("w", encoding="utf-8", newline="")
        self._cells = csv.writer(self._file)
        self._cells.writerow(self._columns)
        self._table = pq.ParquetWriter(self.parquet, COLUMNS, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keep_earlier()
        self._write()
        self._table.close()
        if self._file is not None:
            self._file.close()

    def add(
        self, wanted: Wanted, name: str, *, sha256: str, link: str = "", expires_at: datetime | None = None
    ) -> None:
        """One image that is there."""
        if self._earlier is not None:
            self._names.append(name_hash(name))
        self._rows.append(
            {
                "custom_id": wanted.custom_id,
                "prompt": wanted.prompt,
                "seed": wanted.seed,
                "key": wanted.key,
                "name": name,
                "bytes": wanted.bytes,
                "sha256": sha256 or None,
                "usd": wanted.usd,
                "tags": list(wanted.tags.items()),
                "outcome": wanted.outcome,
                "link": link or None,
                "link_expires_at": expires_at,
            }
        )
        if len(self._rows) >= _GROUP_ROWS:
            self._write()

    def _write(self) -> None:
        """Put the rows at hand into both files."""
        if self._rows:
            self._table.write_table(pa.Table.from_pylist(self._rows, schema=COLUMNS))
            self._cells.writerows([_cell(name, row[name]) for name in self._columns] for row in self._rows)
        self._rows = []

    def _keep_earlier(self) -> None:
        """What the index of before says of files that are still there, and that nobody told of this time."""
        if self._earlier is None:
            return
        told = np.sort(np.array(self._names, dtype=np.uint64))
        with pq.ParquetFile(self._earlier) as file:
            if file.schema_arrow.remove_metadata() != COLUMNS:
                return
            for batch in file.iter_batches(batch_size=_GROUP_ROWS):
                rows = batch.to_pylist()
                hashes = np.array([name_hash(row["name"]) for row in rows], dtype=np.uint64)
                again = np.isin(hashes, told)
                self._rows += [
                    row for row, new in zip(rows, again, strict=True) if not new and self._still_there(row["name"])
                ]
                self._write()


def _cell(name: str, value: Any) -> str:
    """A value as CSV has it."""
    if name == "tags":
        return json.dumps(dict(value or ()), ensure_ascii=False, sort_keys=True)
    if name == "usd":
        return f"{value:.9f}"
    return "" if value is None else without_formula(value.isoformat() if isinstance(value, datetime) else str(value))


def without_formula(text: str) -> str:
    """The text as a cell that no spreadsheet runs: what looks like a formula gets a quote before it."""
    return f"'{text}" if _FORMULA.match(text) else text
