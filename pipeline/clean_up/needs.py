"""Which images jobs need, as small arrays: 16 bytes for an image that may be rendered, 24 for a file that is named."""

import io
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import JobRefusedError, NotFoundError
from pipeline.job import Job
from pipeline.layout import job_folder
from pipeline.ledger.checkpoint import ledger_tables
from pipeline.ports import Store
from pipeline.request_table import id_words

IMAGE_KEY = re.compile(r"images/([0-9a-f]{2})/(\1[0-9a-f]{62})-([0-9a-f]{16})\.[a-z]{1,8}")
"""What a file of ours is called; others are left alone."""

Ids = NDArray[np.bytes_]
"""The first 128 bits of image ids."""
Files = NDArray[np.bytes_]
"""The same, and the 64 bits of the content that stand in the key."""

NO_IDS: Ids = np.empty(0, dtype="S16")
NO_FILES: Files = np.empty(0, dtype="S24")


def files_of(keys: Iterable[str]) -> Files:
    """Keys of image files as an array; what is none is left out."""
    found = (IMAGE_KEY.fullmatch(key) for key in keys)
    return np.array([bytes.fromhex(one[2][:32] + one[3]) for one in found if one], dtype="S24")


def ids_in(files: Files) -> Ids:
    """The ids of files, in their order."""
    return np.ascontiguousarray(files).view("S1").reshape(len(files), 24)[:, :16].copy().view("S16").reshape(-1)


def among(some: NDArray[np.bytes_], known: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Which of some are known ones; these are sorted."""
    if not len(known):
        return np.zeros(len(some), dtype=bool)
    places = np.minimum(np.searchsorted(known, some), len(known) - 1)
    found: NDArray[np.bool_] = known[places] == some
    return found


def requested(store: Store, name: str) -> Ids:
    """All images that a job's requests name.

    Raises:
        JobRefusedError: they cannot be read, so nobody can tell what it needs.
    """
    found = [NO_IDS]
    for info in store.list(f"{job_folder(name)}requests/"):
        try:
            table = pq.read_table(io.BytesIO(store.get(info.key)), columns=["image_id"])
            words = id_words(table["image_id"])
        except NotFoundError:
            continue
        except (pa.ArrowInvalid, KeyError, ValueError) as error:
            raise JobRefusedError(
                f"{store.uri}/{info.key}: cannot be read ({error}); nothing is removed as long as nobody can tell what"
                f" {name} needs: restore it, or remove the job's folder"
            ) from None
        found.append(np.frombuffer(words.astype(">u8").tobytes(), dtype="S16"))
    return np.unique(np.concatenate(found))


def named(store: Store, job: Job, executor: Executor) -> Files:
    """All files that an ended job's ledger names, those that do not count included."""
    tables = ledger_tables(store, job, executor, ["key"])
    return np.unique(np.concatenate([NO_FILES, *(files_of(table["key"].to_pylist()) for _, table, _ in tables)]))


def named_by_others(store: Store, jobs: Iterable[str]) -> Files:
    """All files that the ledger names for jobs whose folder is gone: nobody said that these may go."""
    known = set(jobs)
    found = [NO_FILES]
    for key in _ledger_files(store, known):
        try:
            table = pq.read_table(io.BytesIO(store.get(key)), columns=["key"])
        except NotFoundError:
            continue
        except (pa.ArrowInvalid, KeyError) as error:
            raise JobRefusedError(
                f"{store.uri}/{key}: cannot be read ({error}); restore it, or remove it if nobody needs what it names"
            ) from None
        found.append(files_of(text or "" for text in table["key"].to_pylist()))
    return np.unique(np.concatenate(found))


def _ledger_files(store: Store, known: set[str]) -> Iterator[str]:
    """Files of the images ledger that are of no known job."""
    for date in store.list_folders("ledger/images/"):
        for folder in store.list_folders(f"ledger/images/{date}"):
            if folder.removeprefix("job=").rstrip("/") not in known:
                yield from (info.key for info in store.list(f"ledger/images/{date}{folder}"))
