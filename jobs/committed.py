"""The rows of a job's requests files, each with the image that counts for it: what download and messages read."""

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.job import Job
from pipeline.layout import requests_key
from pipeline.ports import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.manifest.names import DeliveryNames

_NOTHING: dict[str, Any] = {"outcome": "", "key": "", "sha256": "", "bytes": 0}
"""What stands for an image that no record names yet."""

_COLUMNS = ["row", "index", "custom_id", "image_id", "prompt", "seed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One image of one manifest row."""

    row: int
    """0-based manifest row."""
    index: int
    """Which image of its row."""
    custom_id: str | None
    image_id: str
    prompt: str
    seed: int
    outcome: str
    """`rendered`, `reused` or `failed`; empty when nothing is committed yet."""
    key: str
    """Store key; empty when there is no image."""
    sha256: str
    """Of the file's bytes; may be empty for reused images, whose key holds the first 16 digits."""
    bytes: int


def fetch_requests(store: Store, job: Job, folder: Path, executor: Executor) -> list[Path]:
    """Local copies of the requests files, in order. Raises: NotFoundError: a submit died before it wrote them."""
    files = [folder / f"{number:05d}.parquet" for number in range(job.request_files)]

    def fetch(number: int) -> None:
        store.download(requests_key(job.id, number), str(files[number]))

    list(executor.map(fetch, range(job.request_files)))
    return files


def wanted_images(files: list[Path], committed: "pa.Table") -> Iterator[Wanted]:
    """Every row of the requests files, in manifest order, with what is committed for it; one row group in memory.

    Args:
        files: the requests files.
        committed: `pipeline.checkpoint.committed_table` of the job.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    known = committed["image_id"].combine_chunks()
    facts = committed.select(list(_NOTHING)).combine_chunks()
    for path in files:
        with pq.ParquetFile(path) as file:
            places = pc.index_in(file.read(columns=["image_id"])["image_id"], value_set=known)
            start = 0
            for group in range(file.metadata.num_row_groups):
                rows = file.read_row_group(group, columns=_COLUMNS)
                here = facts.take(places.slice(start, len(rows)))
                start += len(rows)
                for row, fact in zip(rows.to_pylist(), here.to_pylist(), strict=True):
                    yield Wanted(**row, **{name: fact[name] or empty for name, empty in _NOTHING.items()})


def names_of(files: list[Path], job: Job) -> "DeliveryNames":
    """The file names of a job's images; they depend on the whole job, never on what is downloaded of it."""
    import pyarrow.parquet as pq

    from pipeline.manifest.names import delivery_names

    rows = pq.read_table(files[-1], columns=["row"])["row"][-1].as_py() + 1 if files else 0
    return delivery_names(
        _custom_ids(files),
        rows=rows,
        images_per_row=job.images // rows if rows else 1,
        extension=job.output.format,
    )


def _custom_ids(files: list[Path]) -> Iterator[str | None]:
    """The custom id of every manifest row, in order."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["index", "custom_id"]):
                yield from batch.filter(pc.equal(batch["index"], 0))["custom_id"].to_pylist()
