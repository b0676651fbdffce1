"""The rows of a job's requests files, each with the image that counts for it: what download and messages read."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.nearest import did_you_mean
from pipeline.errors import JobFileError
from pipeline.job import Job
from pipeline.layout import requests_key
from pipeline.ports import Store

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from pipeline.manifest.name_template import NameTemplate

_NOTHING: dict[str, Any] = {"outcome": "", "key": "", "sha256": "", "bytes": 0, "usd": Decimal(0)}
"""What stands for an image that no record names yet."""

_COLUMNS = ["row", "index", "custom_id", "image_id", "prompt", "seed", "tags"]

COMMITTED_COLUMNS = ("image_id", *_NOTHING)
"""What `wanted_images` needs to know of what is committed."""

_MOST_TAGS = 100


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
    usd: Decimal = Decimal(0)
    """What it cost; 0 for the second row that asks for the same image."""
    tags: dict[str, str] = field(default_factory=dict)


def expected_hash(key: str, sha256: str) -> str:
    """The hash that the bytes must have: whole where the record has it, else the 16 digits in the key."""
    return sha256 or key.rpartition("/")[2].partition(".")[0].rpartition("-")[2]


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
        committed: `pipeline.ledger.checkpoint.committed_table` of the job.
    """
    import numpy as np
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    known = committed["image_id"].combine_chunks()
    facts = committed.select(list(_NOTHING)).combine_chunks()
    paid = np.zeros(len(known) + 1, dtype=np.bool_)
    for path in files:
        with pq.ParquetFile(path) as file:
            places = pc.index_in(file.read(columns=["image_id"])["image_id"], value_set=known)
            start = 0
            for group in range(file.metadata.num_row_groups):
                rows = file.read_row_group(group, columns=_COLUMNS)
                here = places.slice(start, len(rows))
                start += len(rows)
                again = _again(pc.fill_null(here, len(known)).to_numpy(), paid)
                for row, fact, repeated in zip(rows.to_pylist(), facts.take(here).to_pylist(), again, strict=True):
                    values = {name: fact[name] or empty for name, empty in _NOTHING.items()}
                    if repeated:
                        values["usd"] = Decimal(0)
                    yield Wanted(**(row | {"tags": dict(row["tags"] or ())}), **values)


def _again(places: "NDArray[np.int64]", paid: "NDArray[np.bool_]") -> list[bool]:
    """Which of these images an earlier row had already; notes them all."""
    import numpy as np

    again = paid[places]
    first = np.zeros(len(places), dtype=np.bool_)
    first[np.unique(places, return_index=True)[1]] = True
    again |= ~first
    paid[places] = True
    return again.tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What a name is made of, without what became of the image."""

    row: int
    index: int
    custom_id: str | None
    image_id: str
    prompt: str
    seed: int
    tags: dict[str, str]


def names_of(files: list[Path], job: Job, template: str = "") -> Callable[[Wanted], str]:
    """The names of a job's images; they depend on the whole job, never on what is delivered of it.

    Args:
        files: the requests files.
        job: whose.
        template: as `pipeline.manifest.name_template` has it; empty: the custom id, or the number of the row.

    Raises:
        JobFileError: the template makes no sense for this job.
    """
    import pyarrow.parquet as pq

    from pipeline.manifest.name_template import TemplateNames
    from pipeline.manifest.names import delivery_names

    if template:
        return TemplateNames(
            name_template(template, files), _named(files), count=job.images, extension=job.output.format
        ).name
    rows = pq.read_table(files[-1], columns=["row"])["row"][-1].as_py() + 1 if files else 0
    names = delivery_names(
        _custom_ids(files),
        rows=rows,
        images_per_row=job.images // rows if rows else 1,
        extension=job.output.format,
    )
    return lambda wanted: names.name(row=wanted.row, custom_id=wanted.custom_id, index=wanted.index)


def name_template(text: str, files: list[Path]) -> "NameTemplate":
    """A template of names that a job can fill. Raises: JobFileError: it makes no sense, or asks for unknown tags."""
    import pyarrow.parquet as pq

    from pipeline.manifest.name_template import NameTemplate

    try:
        template = NameTemplate(text)
    except ValueError as error:
        raise JobFileError(f"names: {error}") from None
    missing = set(template.tags)
    known: set[str] = set()
    for path in files if missing else ():
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["tags"]):
                here = set(batch["tags"].keys.unique().to_pylist())
                missing -= here
                known |= set(sorted(here)[: _MOST_TAGS - len(known)])
        if not missing:
            return template
    if missing:
        tag = min(missing)
        hint = did_you_mean(tag, known) or f"; it has {', '.join(sorted(known)) or 'none'}"
        raise JobFileError(f'names: no row of the job has a tag "{tag}"{hint}')
    return template


def _named(files: list[Path]) -> Iterator[_Named]:
    """Every image of the job, in order; one row group in memory."""
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=_COLUMNS):
                for row in batch.to_pylist():
                    yield _Named(**(row | {"tags": dict(row["tags"] or ())}))


def _custom_ids(files: list[Path]) -> Iterator[str | None]:
    """The custom id of every manifest row, in order."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["index", "custom_id"]):
                yield from batch.filter(pc.equal(batch["index"], 0))["custom_id"].to_pylist()
