"""The ledger, open for questions: two DuckDB tables over exactly the files that the report needs, in bounded memory."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.ports import Store
from pipeline.reports.files import SCHEMAS, Found, LedgerFile, find_files

MEMORY_LIMIT = "512MB"
"""What DuckDB may hold; what is larger goes to a temporary folder."""

_READERS = 16
_MOST_THREADS = 8
_VIEW = """
CREATE OR REPLACE VIEW {kind} AS
SELECT * FROM read_parquet(getvariable('{kind}_files'), hive_partitioning = true, union_by_name = {union},
                           hive_types = {{'date': DATE, 'job': VARCHAR}})
"""


class Ledger:
    """Some jobs' ledger as the views `images` and `nodes`: the documented columns, and the partitions `date`, `job`.

    Args:
        connection: of our own.
        found: the files.
        asked: ids of the jobs that were asked for; empty: all.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, found: Found, asked: Sequence[str] = ()) -> None:
        self._connection = connection
        self._files, self._asked = found.files, tuple(asked)
        self.skipped = list(found.skipped)
        """Files that are left out, each as `key: reason`."""
        self._open()

    @property
    def jobs(self) -> tuple[str, ...]:
        """Ids of the jobs asked for, or else of all that any file read belongs to; sorted."""
        return tuple(sorted(set(self._asked) or {file.job for file in self._files}))

    def told(self, name: str) -> Iterator[tuple[str, Any]]:
        """Job, and what its nodes ledger's metadata says under a name; jobs of which it says nothing are left out."""
        for file in self._files:
            if file.kind == "nodes" and name in file.facts:
                yield file.job, file.facts[name]

    def query(self, sql: str, **values: Any) -> pa.Table:
        """The answer to one question; `$name` in the SQL stands for a value. Raises: duckdb.Error."""
        return self._connection.sql(sql, params=values or None).to_arrow_table()

    def run(self, sql: str, **values: Any) -> None:
        """Do something that has no answer, such as making a temporary table. Raises: duckdb.Error."""
        self._connection.execute(sql, values or None)

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """The same as rows: money as Decimal, instants aware."""
        rows: list[dict[str, Any]] = self.query(sql, **values).to_pylist()
        return rows

    def leave_out_damaged(self) -> bool:
        """Read every file to its end, alone; leave out those that break. Whether there were any."""
        whole = [file for file in self._files if self._reads(file)]
        found = len(whole) < len(self._files)
        self._files = tuple(whole)
        self._open()
        return found

    def _reads(self, file: LedgerFile) -> bool:
        try:
            self._connection.execute("SELECT max(hash(one)) FROM read_parquet($1) one", [[file.path]]).fetchall()
        except duckdb.Error as error:
            self.skipped.append(f"{file.key}: damaged ({str(error).splitlines()[0]})")
            return False
        return True

    def _open(self) -> None:
        """Make the two views; without any file they are empty."""
        for kind, schema in SCHEMAS.items():
            files = [file for file in self._files if file.kind == kind]
            if files:
                self._connection.execute(f"SET VARIABLE {kind}_files = $1", [[file.path for file in files]])
                union = "false" if all(file.uniform for file in files) else "true"
                self._connection.execute(_VIEW.format(kind=kind, union=union))
                continue
            partitions = [pa.field("date", pa.date32()), pa.field("job", pa.string())]
            self._connection.register(f"no_{kind}", pa.schema([*schema, *partitions]).empty_table())
            self._connection.execute(_NONE.format(kind=kind))


_NONE = "CREATE OR REPLACE VIEW {kind} AS SELECT * FROM no_{kind}"


@contextmanager
def open_ledger(
    store: Store, *, jobs: Sequence[str] = (), since: date | None = None, threads: int | None = None
) -> Iterator[Ledger]:
    """The ledger of some jobs, for as long as the block runs.

    Args:
        store: any; from one that is no folder only the files needed are fetched.
        jobs: ids; empty: all.
        since: only jobs submitted on that day or later.
        threads: of DuckDB; each needs its part of the memory, so there are never more than eight.
    """
    with tempfile.TemporaryDirectory(prefix="spotrender-report-") as folder, ThreadPoolExecutor(_READERS) as readers:
        found = find_files(store, Path(folder), readers, jobs=jobs, since=since)
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": f"{folder}/spill",
            "threads": threads or min(_MOST_THREADS, os.cpu_count() or 1),
            "preserve_insertion_order": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        connection = duckdb.connect(":memory:", config=settings)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield Ledger(connection, found, jobs)
        finally:
            connection.close()
