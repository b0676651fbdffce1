"""Fetches the files of a model into a folder: parts in parallel, each checked by its hash, resumable part by part."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.stores.retry import RetryPolicy
from pipeline.errors import ModelUnavailableError, NotFoundError, StoreUnavailableError
from pipeline.ports import Ranged
from pipeline.weights import PART_BYTES, WeightFile, Weights, part_size

THREADS: Final = 16
"""Parts on their way at once; one connection to S3 carries some 80 MB/s."""

_TRIES: Final = 3
"""How often a part is fetched whose bytes are not those of the manifest."""

PATIENCE: Final = RetryPolicy(attempts=6, first_wait_seconds=5.0, longest_wait_seconds=60.0)
"""With a store that does not answer, beside the store's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One part of one file."""

    file: WeightFile
    number: int
    """In the file, from 0."""
    place: int
    """Among all parts of the model, from 0."""
    descriptor: int
    """Of the file being filled."""
    marked: bool
    """Somebody wrote it already; its bytes are still looked at."""

    @property
    def start(self) -> int:
        return self.number * PART_BYTES


class Filling:
    """One model on its way into a folder. Whoever calls `fill` holds the model's lock alone.

    Args:
        folder: where its files go.
        marks: a file that notes which parts are written, one byte each.
        store: where they come from.
        threads: parts on their way at once.
        patience: with a store that does not answer.
    """

    def __init__(
        self, folder: Path, marks: Path, store: Ranged, *, threads: int = THREADS, patience: RetryPolicy = PATIENCE
    ) -> None:
        self._folder, self._marks, self._store = folder, marks, store
        self._threads, self._patience = threads, patience
        self._stopped = threading.Event()
        self._own = threading.local()

    def allocate(self, weights: Weights) -> None:
        """Make the files in their full size, so that the disk cannot run full in the middle.

        Raises:
            OSError: there is no room, or it cannot be written.
        """
        for file in weights.files:
            path = self._folder / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if os.fstat(descriptor).st_size != file.bytes:
                    os.ftruncate(descriptor, file.bytes)
                if file.bytes:
                    os.posix_fallocate(descriptor, 0, file.bytes)
            finally:
                os.close(descriptor)

    def fill(self, weights: Weights) -> int:
        """Fetch what is not there; returns the bytes that were fetched. What is there is believed by its hash alone.

        Raises:
            ModelUnavailableError: a file is missing in the store, or damaged there.
            StoreUnavailableError: the store does not answer.
            OSError: the disk fails.
        """
        with ExitStack() as held, ThreadPoolExecutor(self._threads, "model") as executor:
            marks = os.open(self._marks, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            held.callback(os.close, marks)
            parts = list(self._parts(weights, os.pread(marks, _most_parts(weights), 0), held))
            list(executor.map(self._look_at, [file for file in weights.files if len(file.parts) > 1]))
            futures = [executor.submit(self._settle, part, marks) for part in parts]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stopped.set()
                for future in futures:
                    future.cancel()
            failed = [future for future in futures if not future.cancelled() and future.exception() is not None]
            for future in failed or futures:
                future.result()
            return sum(future.result() for future in futures)

    def _look_at(self, file: WeightFile) -> None:
        """See that a large file is there before its parts are asked for.

        A service that hashes an object before it answers, as `rclone serve s3` does, so hashes it once, not in each of
        the first answers.

        Raises:
            ModelUnavailableError: it is not, or has another size.
        """
        found = self._patience.call(lambda: self._store.head(file.key), again=self._may_wait)
        if found is None or found.size_bytes != file.bytes:
            what = "is not in the store" if found is None else "has another size in the store"
            raise ModelUnavailableError(
                f"{file.key} ({file.name} of the model) {what}; push the model again (spotrender models push)"
            )

    def _parts(self, weights: Weights, marks: bytes, held: ExitStack) -> Iterator[_Part]:
        """Every part of every file, the files open for as long as `held`."""
        place = 0
        for file in weights.files:
            descriptor = os.open(self._folder / file.name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            held.callback(os.close, descriptor)
            for number in range(len(file.parts)):
                marked = marks[place : place + 1] == b"\1"
                yield _Part(file=file, number=number, place=place, descriptor=descriptor, marked=marked)
                place += 1

    def _settle(self, part: _Part, marks: int) -> int:
        """Have the right bytes of a part on the disk; returns how many had to be fetched."""
        if self._stopped.is_set():
            return 0
        buffer = self._buffer(part_size(part.file, part.number))
        if part.marked:
            read = os.preadv(part.descriptor, [buffer], part.start)
            if read == len(buffer) and _is(buffer, part):
                return 0
        for _ in range(_TRIES):
            self._patience.call(lambda: self._read(part, buffer), again=self._may_wait)
            if _is(buffer, part):
                _write(part.descriptor, buffer, part.start)
                os.pwrite(marks, b"\1", part.place)
                return len(buffer)
        raise ModelUnavailableError(
            f"{part.file.key} ({part.file.name}) is damaged in the store: its bytes are not those that were pushed; "
            "delete it there, and push the model again (spotrender models push)"
        )

    def _read(self, part: _Part, buffer: memoryview) -> None:
        """Fetch a part once. Raises: ModelUnavailableError: it is not there."""
        try:
            self._store.read_part(part.file.key, part.start, buffer)
        except NotFoundError as error:
            raise ModelUnavailableError(
                f"{error} ({part.file.name} of the model); push the model again (spotrender models push)"
            ) from error

    def _may_wait(self, error: BaseException) -> bool:
        """Whether to ask again: not where another part has failed for good meanwhile."""
        return isinstance(error, StoreUnavailableError) and not self._stopped.is_set()

    def _buffer(self, size: int) -> memoryview:
        """Room for a part; each thread has its own, for as long as it lives."""
        if not hasattr(self._own, "buffer"):
            self._own.buffer = bytearray(PART_BYTES)
        return memoryview(self._own.buffer)[:size]


def mark_all(marks: Path, weights: Weights) -> None:
    """Note that every part is written, so that its bytes are looked at before anything is fetched."""
    marks.write_bytes(b"\1" * _most_parts(weights))


def _most_parts(weights: Weights) -> int:
    return sum(len(file.parts) for file in weights.files)


def _is(buffer: memoryview, part: _Part) -> bool:
    """Whether these are the part's bytes."""
    return hashlib.sha256(buffer).hexdigest() == part.file.parts[part.number]


def _write(descriptor: int, buffer: memoryview, start: int) -> None:
    """All of it, also where the system writes a piece at a time. Raises: OSError."""
    while buffer:
        written = os.pwrite(descriptor, buffer, start)
        buffer, start = buffer[written:], start + written
