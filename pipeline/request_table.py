"""The requests files of a job, read lazily: all ids at once as small arrays, whole rows only for one task at a time."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.request import Request, Variant

_ROWS = ("image_id", "prompt", "negative_prompt", "seed", "variant", "tags", "custom_id", "row", "index")
_GROUPS_KEPT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the requests files."""

    position: int
    """Place among all rows of the job, from 0."""
    image_id: str
    request: Request
    tags: dict[str, str]
    custom_id: str | None
    manifest_row: int
    index: int
    """Which image of its manifest row."""


def id_words(ids: pa.Array) -> NDArray[np.uint64]:
    """The first 128 bits of image ids as two words each: n x 2.

    Two ids that agree in them are taken for equal; among ten million that happens by chance once in 10^24 jobs.
    """
    array = ids.cast(pa.string()).combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids.cast(pa.string())
    if len(array) == 0:
        return np.empty((0, 2), dtype=np.uint64)
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    text = np.frombuffer(array.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]].reshape(len(array), 64)
    digits = text[:, :32]
    values = np.where(digits < ord("a"), digits - ord("0"), digits - (ord("a") - 10)).astype(np.uint8)
    packed = np.ascontiguousarray((values[:, 0::2] << 4) | values[:, 1::2])
    return packed.view(">u8").astype(np.uint64)


class RequestTable:
    """The rows of a job, over local copies of its requests files.

    Args:
        files: the Parquet files in order.
        variants: what the `variant` column counts into.
    """

    def __init__(self, files: Sequence[Path], variants: Sequence[Variant]) -> None:
        self._variants = tuple(variants)
        self._files = [pq.ParquetFile(file) for file in files]
        self._groups: list[tuple[int, int]] = []
        counts: list[int] = []
        for number, file in enumerate(self._files):
            for group in range(file.metadata.num_row_groups):
                self._groups.append((number, group))
                counts.append(file.metadata.row_group(group).num_rows)
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._kept: OrderedDict[int, pa.Table] = OrderedDict()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def columns(self) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int32], NDArray[np.int32]]]:
        """(id words, variant, index) of all rows, a row group at a time."""
        for number, group in self._groups:
            table = self._files[number].read_row_group(group, columns=["image_id", "variant", "index"])
            yield id_words(table["image_id"]), table["variant"].to_numpy(), table["index"].to_numpy()

    def rows(self, positions: Sequence[int]) -> list[Row]:
        """Whole rows, in the order asked for."""
        wanted = np.asarray(positions, dtype=np.int64)
        groups = np.searchsorted(self._starts, wanted, side="right") - 1
        found: dict[int, Row] = {}
        for group in np.unique(groups):
            here = wanted[groups == group]
            table = self._group(int(group)).take(pa.array(here - self._starts[group]))
            for position, values in zip(here.tolist(), table.to_pylist(), strict=True):
                found[position] = self._row(position, values)
        return [found[int(position)] for position in wanted]

    def _group(self, group: int) -> pa.Table:
        """One row group, from a few kept ones."""
        if group not in self._kept:
            number, inner = self._groups[group]
            self._kept[group] = self._files[number].read_row_group(inner, columns=list(_ROWS))
            if len(self._kept) > _GROUPS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(group)
        return self._kept[group]

    def _row(self, position: int, values: dict[str, object]) -> Row:
        return Row(
            position=position,
            image_id=str(values["image_id"]),
            request=Request(
                prompt=str(values["prompt"]),
                negative_prompt=str(values["negative_prompt"]),
                seed=int(values["seed"]),  # type: ignore[call-overload]
                variant=self._variants[int(values["variant"])],  # type: ignore[call-overload]
            ),
            tags=dict(values["tags"] or ()),  # type: ignore[call-overload]
            custom_id=None if values["custom_id"] is None else str(values["custom_id"]),
            manifest_row=int(values["row"]),  # type: ignore[call-overload]
            index=int(values["index"]),  # type: ignore[call-overload]
        )
