"""Some images of a report with their prompts: a bounded sample over all node types, read in bounded time.

Whatever cannot be read is left out; a gallery never makes a report fail.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from jobs.reporting.page.thumbnail import thumbnail
from jobs.reporting.page.within import within
from pipeline.errors import ImageFileError
from pipeline.imaging.metadata import read_request
from pipeline.job import job_from_json
from pipeline.layout import job_key, requests_key
from pipeline.ports import Store
from pipeline.reports.by import NODE_KEYS
from pipeline.reports.ledger import Ledger

MOST = 60
SECONDS = 20.0
"""Time for reading all of them."""

_MOST_BYTES = 32 << 20
"""Larger files are not fetched."""
_MOST_REQUEST_FILES = 10

_CHOSEN = f"""
WITH known AS (
    SELECT *, {NODE_KEYS["node_type"]} AS type FROM images
    WHERE outcome IN ('rendered', 'reused') AND key <> '' AND bytes <= $most_bytes
), sample AS (
    SELECT unnest(min(image_id, $most)) AS image_id FROM known GROUP BY type
), chosen AS (
    SELECT image_id, key, job, type, zone, node_session, usd, outcome, row_number() OVER (
               PARTITION BY type ORDER BY image_id
           ) AS place
    FROM known SEMI JOIN sample USING (image_id)
    QUALIFY row_number() OVER (PARTITION BY image_id ORDER BY outcome, job) = 1
)
SELECT * FROM chosen ORDER BY place, type LIMIT $most
"""  # noqa: S608 - an expression of our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One image of the gallery; texts are as their authors wrote them."""

    picture: str
    """A `data:` URI."""
    width: int
    """Of the thumbnail."""
    height: int
    prompt: str
    seed: int | None
    usd: Decimal
    reused: bool
    """Made by an earlier job, at no cost."""
    type: str
    """Node type and market; empty for reused ones."""
    zone: str
    node_session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one file gave."""

    picture: str
    width: int
    height: int
    words: tuple[str, int] | None
    """Prompt and seed, where the file says so."""


def gallery(ledger: Ledger, store: Store, *, most: int = MOST, seconds: float = SECONDS) -> list[Shown]:
    """A sample of the images, the node types in turn.

    Args:
        ledger: which images there are.
        store: where they are.
        most: at most so many.
        seconds: no longer than this.
    """
    deadline = time.monotonic() + seconds
    rows = ledger.rows(_CHOSEN, most=most, most_bytes=_MOST_BYTES)
    read = within(seconds, lambda row: _read(store, row["key"]), rows)
    nameless = [row for row, one in zip(rows, read, strict=True) if one is not None and one.words is None]
    words = _looked_up(store, nameless, seconds=deadline - time.monotonic()) if nameless else {}
    return [_shown(row, one, words) for row, one in zip(rows, read, strict=True) if one is not None]


def _shown(row: Mapping[str, Any], read: _Read, words: Mapping[str, tuple[str, int]]) -> Shown:
    prompt, seed = read.words or words.get(row["image_id"]) or ("", None)
    return Shown(
        picture=read.picture,
        width=read.width,
        height=read.height,
        prompt=prompt,
        seed=seed,
        usd=row["usd"] or Decimal(0),
        reused=row["outcome"] == "reused",
        type=row["type"] or "",
        zone=row["zone"] or "",
        node_session=row["node_session"] or "",
    )


def _read(store: Store, key: str) -> _Read:
    """One file: its thumbnail, and the request that it carries."""
    body = store.get(key)
    picture, width, height = thumbnail(body)
    try:
        request, _ = read_request(body)
        words = (request.prompt, request.seed)
    except ImageFileError:
        words = None
    return _Read(picture=picture, width=width, height=height, words=words)


def _looked_up(store: Store, rows: Sequence[Mapping[str, Any]], *, seconds: float) -> dict[str, tuple[str, int]]:
    """Prompts and seeds of images whose files do not name them, from the requests of their jobs."""
    deadline = time.monotonic() + seconds
    wanted: dict[str, list[str]] = {}
    for row in rows:
        wanted.setdefault(row["job"], []).append(row["image_id"])
    jobs = within(seconds, lambda job: job_from_json(store.get(job_key(job))), list(wanted))
    files = [
        (name, number)
        for name, job in zip(wanted, jobs, strict=True)
        for number in range(job.request_files if job else 0)
    ]
    files = files[:_MOST_REQUEST_FILES]
    found = within(deadline - time.monotonic(), lambda file: _words(store, *file, wanted[file[0]]), files, threads=2)
    return {image: words for some in found if some for image, words in some.items()}


def _words(store: Store, job: str, number: int, images: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Prompts and seeds of these images, as far as one requests file has them."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="spotrender-report-") as folder:
        path = Path(folder) / "requests.parquet"
        store.download(requests_key(job, number), str(path))
        table = pq.read_table(path, columns=["image_id", "prompt", "seed"], filters=[("image_id", "in", set(images))])
    return {row["image_id"]: (row["prompt"], row["seed"]) for row in table.to_pylist()}
