"""Which ledger files a report needs, fetched only where they are not at hand, each checked before it is believed."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import NotFoundError
from pipeline.layout import is_job_id
from pipeline.ledger.schema import IMAGES, LATER_COLUMNS, LATER_IMAGE_COLUMNS, LEDGER_SCHEMA, NODES
from pipeline.ports import Store

Kind = Literal["images", "nodes"]

SCHEMAS: Final[Mapping[Kind, pa.Schema]] = MappingProxyType({"images": IMAGES, "nodes": NODES})
"""Ledger -> its columns."""

_LATER: Final[Mapping[Kind, frozenset[str]]] = MappingProxyType({"images": LATER_IMAGE_COLUMNS, "nodes": LATER_COLUMNS})

_DAY = re.compile(r"date=(\d{4}-\d{2}-\d{2})/")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFile:
    """One file of the ledger, on this machine."""

    kind: Kind
    key: str
    job: str
    path: str
    uniform: bool = True
    """Whether it has exactly the columns of this version."""
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What its metadata tells beside the version; of others, so to be checked before it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The files that can be read, and those that cannot, each as `key: reason`."""

    files: tuple[LedgerFile, ...]
    skipped: tuple[str, ...]


def find_files(store: Store, folder: Path, readers: Executor, *, jobs: Sequence[str], since: date | None) -> Found:
    """The ledger files of some jobs, readable under `folder`: by a link where the store is a folder, else fetched.

    Args:
        store: where the ledger is.
        folder: an empty one of our own.
        readers: fetch and check at the same time.
        jobs: ids; empty: all.
        since: days of submit before it are not even listed.
    """
    here = Path(store.uri)
    at_hand = here.is_absolute() and here.is_dir()
    if at_hand and (here / "ledger").is_dir():
        (folder / "ledger").symlink_to(here / "ledger", target_is_directory=True)
    keys = [key for kind in SCHEMAS for key in _keys(store, kind, jobs, since)]

    def take(one: tuple[Kind, str, str]) -> LedgerFile | str:
        kind, job, key = one
        path = folder / key
        if not at_hand:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                store.download(key, str(path))
            except NotFoundError:
                return f"{key}: was removed while the report was made"
        return _checked(kind, job, key, path)

    taken = list(readers.map(take, keys))
    return Found(
        files=tuple(one for one in taken if isinstance(one, LedgerFile)),
        skipped=tuple(one for one in taken if isinstance(one, str)),
    )


def _keys(store: Store, kind: Kind, jobs: Sequence[str], since: date | None) -> Iterator[tuple[Kind, str, str]]:
    """Kind, job and key of each file; whole days and other jobs are passed over."""
    root = f"ledger/{kind}/"
    for day in store.list_folders(root):
        found = _DAY.fullmatch(day)
        if found is None or (since is not None and found[1] < since.isoformat()):
            continue
        for prefix in [f"{root}{day}job={job}/" for job in jobs] or [f"{root}{day}"]:
            for info in store.list(prefix):
                job, _, name = info.key.removeprefix(f"{root}{day}").partition("/")
                job = job.removeprefix("job=")
                if is_job_id(job) and name.endswith(".parquet") and "/" not in name:
                    yield kind, job, info.key


def _checked(kind: Kind, job: str, key: str, path: Path) -> LedgerFile | str:
    """The file, or why it cannot be read: its footer is there, of this version, with the columns in their types."""
    try:
        footer = pq.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
        facts = json.loads((footer.metadata or {}).get(b"spotrender", b"{}"))
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"{key}: no whole Parquet file ({str(error).splitlines()[0]})"
    version = facts.get("schema") if isinstance(facts, dict) else None
    if version != LEDGER_SCHEMA:
        return f"{key}: ledger schema {version!r}, this version reads {LEDGER_SCHEMA}"
    for column in SCHEMAS[kind]:
        place = schema.get_field_index(column.name)
        if place < 0 and column.name not in _LATER[kind]:
            return f"{key}: column {column.name} is missing"
        if place >= 0 and schema.field(place).type != column.type:
            return f"{key}: column {column.name} is {schema.field(place).type}, not {column.type}"
    uniform = schema.names == SCHEMAS[kind].names
    return LedgerFile(kind=kind, job=job, key=key, path=str(path), uniform=uniform, facts=facts)
