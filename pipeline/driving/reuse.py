"""The index image id -> key over all jobs of a store, in sixteen shards; derived from the ledger, rebuildable.

A row is an id, the hash of its file, and the form of the file, because an image is reused only in the very form
that a job asks for. A missed entry costs one rendering again, a stale one a look at the store; neither costs an image.
"""

import io
from collections.abc import Collection, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.assignment import Output
from pipeline.errors import AlreadyExistsError, NotFoundError
from pipeline.layout import index_key
from pipeline.plan import Plan
from pipeline.ports import Store
from pipeline.request_table import id_words

SHARDS = "0123456789abcdef"
"""First hex digit of an image id."""

_SCHEMA = pa.schema([("image_id", pa.string()), ("sha256", pa.string()), ("form", pa.string()), ("bytes", pa.int64())])
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reusable:
    """An image that an earlier job made in the form that is wanted."""

    sha256: str
    """Of the file, 64 hex digits."""
    bytes: int
    """Size of the file."""


class ReuseMap:
    """What of a plan the index has: some 80 bytes for each image found."""

    def __init__(self, places: NDArray[np.int64], sha256: pa.Array, sizes: NDArray[np.int64]) -> None:
        order = np.argsort(places, kind="stable")
        self._places, self._sizes = places[order], sizes[order]
        self._sha256 = sha256.take(pa.array(order))

    def __len__(self) -> int:
        return len(self._places)

    @property
    def places(self) -> NDArray[np.int64]:
        """Places of them in the plan, sorted."""
        return self._places

    def tasks(self, plan: Plan) -> list[int]:
        """The tasks that have any of them."""
        return [int(task) for task in np.unique(plan.task_at(self._places))]

    def get(self, place: int) -> Reusable | None:
        """What the index has for this image of the plan."""
        at = int(np.searchsorted(self._places, place))
        if at == len(self._places) or int(self._places[at]) != place:
            return None
        return Reusable(sha256=self._sha256[at].as_py(), bytes=int(self._sizes[at]))


def form(output: Output) -> str:
    """What must agree besides the pixels for a file to be reused."""
    quality = "" if output.format == "png" else f"-q{output.quality}"
    return f"{output.format}{quality}-{output.metadata}"


def find_reusable(store: Store, plan: Plan, missing: NDArray[np.bool_], output: Output, executor: Executor) -> ReuseMap:
    """Look up the missing images of a plan. Reads only the shards that exist, one after the other in memory."""
    wanted = form(output)
    places: list[NDArray[np.int64]] = []
    hashes: list[pa.Array] = []
    sizes: list[NDArray[np.int64]] = []
    for table in executor.map(lambda shard: _read(store, shard)[0], SHARDS):
        here = table.filter(pc.equal(table["form"], wanted)).combine_chunks()
        found = plan.find(id_words(here["image_id"]))
        useful = found >= 0
        useful[useful] = missing[found[useful]]
        places.append(found[useful])
        hashes.append(here["sha256"].combine_chunks().filter(pa.array(useful)).cast(pa.string()))
        sizes.append(here["bytes"].to_numpy()[useful])
    return ReuseMap(np.concatenate(places), pa.concat_arrays(hashes), np.concatenate(sizes))


def extend_index(store: Store, rows: Iterable[pa.Table], output: Output, executor: Executor) -> None:
    """Add rendered images to the index.

    Args:
        store: whose index.
        rows: tables with image_id, sha256, bytes.
        output: the form of the files.
    """
    wanted = form(output)
    table = pa.concat_tables([_SCHEMA.empty_table(), *(_index_rows(some, wanted) for some in rows)])
    first = pc.utf8_slice_codeunits(table["image_id"], 0, 1)
    parts = [(shard, table.filter(pc.equal(first, shard))) for shard in SHARDS]
    list(executor.map(lambda part: _extend(store, *part), [part for part in parts if len(part[1])]))


def drop_from_index(store: Store, files: Collection[str], executor: Executor) -> None:
    """Take these image keys out of the index, so that nobody counts on them; a row that is missed costs a look."""
    shards: dict[str, set[str]] = {}
    for key in files:
        name = key.rpartition("/")[2].rpartition(".")[0]
        shards.setdefault(name[0], set()).add(name)
    list(executor.map(lambda part: _drop(store, *part), sorted(shards.items())))


def _drop(store: Store, shard: str, names: Collection[str]) -> None:
    """Read, filter, write if nobody else wrote in between."""
    for _ in range(_TRIES):
        table, etag = _read(store, shard)
        hashes = pc.utf8_slice_codeunits(table["sha256"], 0, 16)
        there = pc.binary_join_element_wise(table["image_id"], hashes, "-")
        kept = table.filter(pc.invert(pc.is_in(there, value_set=pa.array(sorted(names), pa.string()))))
        if etag is None or len(kept) == len(table):
            return
        sink = io.BytesIO()
        pq.write_table(kept, sink, compression="zstd")
        try:
            store.put(index_key(shard), sink.getvalue(), if_match=etag)
        except AlreadyExistsError:
            continue
        return


def _index_rows(table: pa.Table, wanted: str) -> pa.Table:
    forms = pa.array([wanted] * len(table), pa.string())
    return pa.table([table["image_id"], table["sha256"], forms, table["bytes"]], schema=_SCHEMA)


def _extend(store: Store, shard: str, new: pa.Table) -> None:
    """Read, merge, write if nobody else wrote in between; the last try writes over."""
    for attempt in range(_TRIES):
        table, etag = _read(store, shard)
        merged = pa.concat_tables([table, new]).sort_by([("image_id", "ascending"), ("form", "ascending")])
        sink = io.BytesIO()
        pq.write_table(_last_of_each(merged), sink, compression="zstd")
        try:
            if etag is None:
                store.put(index_key(shard), sink.getvalue(), mode="create")
            else:
                store.put(index_key(shard), sink.getvalue(), if_match=etag if attempt < _TRIES - 1 else None)
        except AlreadyExistsError:
            continue
        return


def _last_of_each(table: pa.Table) -> pa.Table:
    """One row for each image and form, of a table sorted by both."""
    if len(table) < 2:
        return table
    ids, forms = table["image_id"].combine_chunks(), table["form"].combine_chunks()
    differs = pc.or_(pc.not_equal(ids[:-1], ids[1:]), pc.not_equal(forms[:-1], forms[1:]))
    return table.filter(pa.concat_arrays([differs, pa.array([True])]))


def _read(store: Store, shard: str) -> tuple[pa.Table, str | None]:
    """A shard and its ETag; an empty one when there is none, or when it cannot be read (it is derived)."""
    info = store.head(index_key(shard))
    if info is None:
        return _SCHEMA.empty_table(), None
    try:
        table = pq.read_table(io.BytesIO(store.get(index_key(shard))))
    except (NotFoundError, pa.ArrowInvalid):
        return _SCHEMA.empty_table(), info.etag
    return (table if table.schema.equals(_SCHEMA) else _SCHEMA.empty_table()), info.etag
