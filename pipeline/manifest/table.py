"""The requests table: a row per manifest row and image, built a chunk of rows at a time and written as Parquet."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.manifest.resolve import Resolver

CHUNK_IMAGES = 10_000
"""Images of a row group."""

_CHUNK_CHARACTERS = 8_000_000
_FILE_IMAGES = 200_000
_NO_DICTIONARY = frozenset({"image_id", "custom_id", "row", "line"})
"""Columns that hardly repeat: a dictionary of them is only work."""

_FIELD, _PAIR, _END = "\x1f", "\x1e", "\n"
"""Separators of the digest; none of them can stand in an id or a tag."""


def schema() -> pa.Schema:
    """Columns of the requests files."""
    return pa.schema(
        [
            ("row", pa.int64()),  # 0-based manifest row
            ("line", pa.int64()),  # 1-based line, or row of a Parquet manifest
            ("index", pa.int32()),  # which image of its row, from 0
            ("custom_id", pa.string()),  # null where the row gives none
            ("image_id", pa.string()),
            ("prompt", pa.string()),
            ("negative_prompt", pa.string()),
            ("seed", pa.int64()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("steps", pa.int32()),
            ("guidance_scale", pa.float64()),
            ("scheduler", pa.string()),
            ("model", pa.string()),  # the job's name for it
            ("variant", pa.int32()),  # place in the job's list of variants
            ("tags", pa.map_(pa.string(), pa.string())),
        ]
    )


class Chunk:
    """Resolved rows on their way into the table: a list a column, with all images of a row or none.

    Args:
        first_row: 0-based manifest row of the chunk's first row.
        images: images of each row.
    """

    def __init__(self, first_row: int, images: int) -> None:
        self.lines: list[int] = []
        self.custom_ids: list[str | None] = []
        self.prompts: list[str] = []
        self.negatives: list[str] = []
        self.seeds: list[int] = []
        self.ordinals: list[int] = []
        self.tags: list[Mapping[str, str]] = []
        self.image_ids: list[str] = []
        """Of every image: row by row, and within a row by index."""
        self.characters = 0
        """Of all words of all images: what memory the table takes."""
        self._first_row = first_row
        self._images = images

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return len(self.image_ids) >= CHUNK_IMAGES or self.characters >= _CHUNK_CHARACTERS

    def digest_text(self) -> bytes:
        """What the manifest's digest is taken over: image id, custom id and tags of each image, in order."""
        names = [custom_id or "" for custom_id in self.custom_ids]
        if any(self.tags):
            for place, tags in enumerate(self.tags):
                names[place] += "".join(f"{_FIELD}{tag}{_PAIR}{text}" for tag, text in tags.items())
        each = names if self._images == 1 else [name for name in names for _ in range(self._images)]
        pairs = zip(self.image_ids, each, strict=True)
        return "".join([f"{image_id}{_FIELD}{name}{_END}" for image_id, name in pairs]).encode()

    def batches(self, resolver: Resolver) -> Iterator[pa.RecordBatch]:
        """The table's rows, at most `CHUNK_IMAGES` at a time, and fewer where prompts are huge."""
        total = len(self.image_ids)
        step = max(1, min(CHUNK_IMAGES, _CHUNK_CHARACTERS * total // max(1, self.characters)))
        by_row = self._by_row(resolver)
        index = np.tile(np.arange(self._images, dtype=np.int32), len(self.lines))
        row_of = np.repeat(np.arange(len(self.lines)), self._images)
        for start in range(0, total, step):
            here = slice(start, start + step)
            taken = by_row if step >= total and self._images == 1 else by_row.take(pa.array(row_of[here]))
            columns = {name: taken[name] for name in taken.schema.names}
            columns["index"] = pa.array(index[here])
            columns["seed"] = pa.array(taken["seed"].to_numpy() + index[here])
            columns["image_id"] = pa.array(self.image_ids[here], pa.string())
            yield pa.RecordBatch.from_arrays([columns[name] for name in schema().names], schema=schema())

    def _by_row(self, resolver: Resolver) -> pa.RecordBatch:
        """The columns that all images of a row share, but for the seed, which is the first image's."""
        ordinals = np.array(self.ordinals, dtype=np.int32)
        count = len(ordinals)
        columns: dict[str, pa.Array] = {
            "row": pa.array(np.arange(self._first_row, self._first_row + count, dtype=np.int64)),
            "line": pa.array(self.lines, pa.int64()),
            "custom_id": pa.array(self.custom_ids, pa.string()),
            "prompt": pa.array(self.prompts, pa.string()),
            "negative_prompt": pa.array(self.negatives, pa.string()),
            "seed": pa.array(self.seeds, pa.int64()),
            "variant": pa.array(ordinals),
            "tags": _tags_array(self.tags),
        }
        used, places = np.unique(ordinals, return_inverse=True)
        variants = [resolver.variants[ordinal] for ordinal in used]
        columns["model"] = pa.array([resolver.models[ordinal].name for ordinal in used]).take(pa.array(places))
        for name in ("width", "height", "steps", "guidance_scale", "scheduler"):
            values = pa.array([getattr(variant, name) for variant in variants], schema().field(name).type)
            columns[name] = values.take(pa.array(places))
        return pa.RecordBatch.from_pydict(columns)


def _tags_array(tags: Sequence[Mapping[str, str]]) -> pa.Array:
    """Tags as a map column; most manifests have none."""
    offsets = np.zeros(len(tags) + 1, dtype=np.int32)
    if not any(tags):
        return pa.MapArray.from_arrays(pa.array(offsets), pa.array([], pa.string()), pa.array([], pa.string()))
    np.cumsum([len(some) for some in tags], out=offsets[1:])
    names = [name for some in tags for name in some]
    texts = [text for some in tags for text in some.values()]
    return pa.MapArray.from_arrays(pa.array(offsets), pa.array(names, pa.string()), pa.array(texts, pa.string()))


class TableWriter:
    """Writes batches into `<n>.parquet` files of a folder, a row group a batch, a new file every 200,000 images."""

    def __init__(self, folder: Path) -> None:
        self.files: list[Path] = []
        """What was begun, in order."""
        self._folder = folder
        self._writer: Any = None
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one row group."""
        if self._writer is None:
            self.files.append(self._folder / f"{len(self.files):05d}.parquet")
            self._writer = pq.ParquetWriter(
                self.files[-1],
                schema(),
                compression="zstd",
                compression_level=1,
                use_dictionary=[name for name in schema().names if name not in _NO_DICTIONARY],
                write_statistics=False,
            )
        self._writer.write_batch(batch)
        self._rows += batch.num_rows
        if self._rows >= _FILE_IMAGES:
            self.close()

    def close(self) -> None:
        """Finish the file that is open."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._rows = 0

    def discard(self) -> None:
        """Remove every file that was begun."""
        self.close()
        for file in self.files:
            file.unlink(missing_ok=True)
