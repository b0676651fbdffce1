"""Fetches a job's images under the user's own names; what is there and sound already is not fetched again."""

import csv
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jobs.committed import Wanted, fetch_requests, names_of, wanted_images
from jobs.parallel import in_order
from jobs.verify import expected_hash
from pipeline.errors import JobFileError, JobRefusedError, NotFoundError, UserError
from pipeline.job import Job
from pipeline.ports import Store

if TYPE_CHECKING:
    from pipeline.manifest.names import DeliveryNames

THREADS = 16
"""Images fetched at the same time."""

INDEX = "index.csv"
"""What says which file is which image."""

INDEX_COLUMNS = ("custom_id", "prompt", "seed", "file", "key", "sha256")

Fate = Literal["fetched", "kept", "bad", "not_there"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which images to fetch; all when nothing is said."""

    patterns: tuple[str, ...] = ()
    """Custom ids with `*`, `?` and `[...]`; one that fits is enough. Rows without an id go by their file's name."""
    outcome: str | None = None
    """`rendered` or `reused`."""
    limit: int | None = None
    """At most so many, the first in manifest order."""

    def takes(self, wanted: Wanted, name: str) -> bool:
        """Whether this image is asked for."""
        if self.outcome is not None and wanted.outcome != self.outcome:
            return False
        called = name.rpartition(".")[0] if wanted.custom_id is None else wanted.custom_id
        return not self.patterns or any(fnmatchcase(called, pattern) for pattern in self.patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """What was fetched."""

    job: str
    folder: str
    fetched: int
    kept: int
    """There already, and sound."""
    not_there: int
    """Asked for, but failed or not rendered yet."""
    bytes: int
    """Of what was fetched."""
    bad: tuple[str, ...]
    """Images that the store does not have as their records say, each with its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    """What became of one image."""

    name: str
    wanted: Wanted
    fate: Fate
    sha256: str = ""
    message: str = ""


def download(
    store: Store,
    job: Job,
    *,
    folder: Path,
    selection: Selection | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Downloaded:
    """Fetch images into a folder, each under its delivery name, and list them in `index.csv`.

    A file appears only when it is complete and its hash is right. Interrupted, it goes on where it stopped.

    Args:
        store: where the job lies.
        job: whose images.
        folder: where to; made when it is not there; must not lie inside the store.
        selection: which images; all when not given.
        on_progress: told (done, in all or None when unknown).

    Raises:
        UserError: the folder cannot be written, or lies in the store; an unknown outcome is asked for.
        JobRefusedError: the job's requests are not in the store.
    """
    from pipeline.checkpoint import committed_table

    chosen = selection or Selection()
    if chosen.outcome not in {None, "rendered", "reused"}:
        raise JobFileError(f'--state: must be rendered or reused, got "{chosen.outcome}"')
    refuse_store_folder(store, folder)
    total = None if chosen.patterns or chosen.outcome else min(chosen.limit or job.images, job.images)
    counted = {"fetched": 0, "kept": 0, "not_there": 0, "bad": 0}
    size, bad = 0, []
    with (
        tempfile.TemporaryDirectory(prefix="spotrender-") as temporary,
        _explained(folder),
        ThreadPoolExecutor(THREADS) as executor,
        _index(folder) as index,
    ):
        files = _requests(store, job, Path(temporary), executor)
        names = names_of(files, job)
        images = wanted_images(files, committed_table(store, job, executor))
        asked = islice(_asked(images, names, chosen), chosen.limit)
        arrivals = in_order(executor, lambda one: _fetch(store, folder, *one), asked)
        for number, arrival in enumerate(arrivals, start=1):
            counted[arrival.fate] += 1
            if arrival.fate == "bad":
                bad.append(f"{arrival.name}: {arrival.message}")
            elif arrival.fate != "not_there":
                index(arrival)
                size += arrival.wanted.bytes if arrival.fate == "fetched" else 0
            if on_progress is not None:
                on_progress(number, total)
    del counted["bad"]
    return Downloaded(job=job.id, folder=str(folder), bytes=size, bad=tuple(bad), **counted)


def refuse_store_folder(store: Store, folder: Path) -> None:
    """Nothing but a job's own objects is ever written into a store. Raises: UserError: the folder lies in it."""
    if "://" in store.uri or store.uri.startswith("memory:"):
        return
    root = Path(store.uri).resolve()
    if folder.resolve() == root or root in folder.resolve().parents:
        raise UserError(f"{folder}: lies inside the store {root}; choose a folder outside of it with --to")


def _requests(store: Store, job: Job, folder: Path, executor: ThreadPoolExecutor) -> list[Path]:
    """The requests files. Raises: JobRefusedError: they are not there."""
    try:
        return fetch_requests(store, job, folder, executor)
    except NotFoundError as error:
        raise JobRefusedError(f"{job.id}: its requests are not in the store ({error}); submit it again") from error


def _asked(images: Iterator[Wanted], names: "DeliveryNames", chosen: Selection) -> Iterator[tuple[str, Wanted]]:
    """The images that are asked for, with their file names."""
    for wanted in images:
        name = names.name(row=wanted.row, custom_id=wanted.custom_id, index=wanted.index)
        if chosen.takes(wanted, name):
            yield name, wanted


def _fetch(store: Store, folder: Path, name: str, wanted: Wanted) -> _Arrival:
    """One image into its file."""
    if not wanted.key:
        return _Arrival(name=name, wanted=wanted, fate="not_there")
    right = expected_hash(wanted.key, wanted.sha256)
    path = folder / name
    if path.is_file() and path.stat().st_size == wanted.bytes and (found := _hash(path)).startswith(right):
        return _Arrival(name=name, wanted=wanted, fate="kept", sha256=found)
    arriving = folder / f".{name}.part"
    try:
        store.download(wanted.key, str(arriving))
        found = _hash(arriving)
        if not found.startswith(right):
            return _Arrival(name=name, wanted=wanted, fate="bad", message=f"{wanted.key} is damaged in the store")
        arriving.replace(path)
    except NotFoundError:
        return _Arrival(name=name, wanted=wanted, fate="bad", message=f"{wanted.key} is missing in the store")
    finally:
        arriving.unlink(missing_ok=True)
    return _Arrival(name=name, wanted=wanted, fate="fetched", sha256=found)


def _hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Make the folder; say of an error of the disk what can be done. Raises: UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}; make room, or choose another --to") from error


@contextmanager
def _index(folder: Path) -> Iterator[Callable[[_Arrival], None]]:
    """`index.csv`, with the rows of earlier downloads into this folder kept; whole, also after an interruption."""
    arriving = folder / f".{INDEX}.part"
    listed: set[str] = set()
    with arriving.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(INDEX_COLUMNS)

        def add(arrival: _Arrival) -> None:
            wanted = arrival.wanted
            listed.add(arrival.name)
            custom_id = wanted.custom_id or ""
            rows.writerow([custom_id, wanted.prompt, wanted.seed, arrival.name, wanted.key, arrival.sha256])

        try:
            yield add
        finally:
            rows.writerows(_earlier_rows(folder, listed))
            file.flush()
            arriving.replace(folder / INDEX)


def _earlier_rows(folder: Path, listed: set[str]) -> Iterator[list[Any]]:
    """What an index that is already there says of other files that are still there."""
    place = folder / INDEX
    if not place.is_file():
        return
    with place.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != INDEX_COLUMNS:
            return
        for row in rows:
            if len(row) == len(INDEX_COLUMNS) and row[3] not in listed and (folder / row[3]).is_file():
                yield row
