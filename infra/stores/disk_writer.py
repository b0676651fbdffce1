"""Writing into a folder tree: complete and synced first, named second, the names synced third."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import BinaryIO, Final, TypeVar

from infra.stores.disk_files import (
    HiddenFolder,
    NoLinksError,
    TakenError,
    Written,
    drop,
    etag_of,
    link_new,
    rename_new,
)
from infra.stores.disk_folders import Folders, sync_folder

_T = TypeVar("_T")
_R = TypeVar("_R")

_TRIES: Final = 5
"""How often a folder is made again that somebody removes by hand meanwhile."""


class DiskWriter:
    """All changes to the files of one store; raises plain `OSError`s.

    Args:
        root: absolute path of the store.
        now: seconds since the epoch, to tell what dead processes left behind.
        threads: how many files of a batch are written and synced at a time: disks commit them together.
    """

    def __init__(self, root: str, *, now: Callable[[], float] = time.time, threads: int = 8) -> None:
        self._hidden = HiddenFolder(root, now=now)
        self._folders = Folders(root)
        self._size = threads
        self._links = True
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def write(self, target: str, body: bytes, *, create: bool = False, if_match: str | None = None) -> str:
        """One file, durable on return; its ETag.

        Raises:
            TakenError: `create` and the name is taken, or `if_match` and the file has another ETag or is missing.
        """
        if create and os.path.lexists(target):
            raise TakenError(target)
        written = self._hidden.write(body)
        try:
            self._place(written, target, create=create, if_match=if_match)
        finally:
            drop(written.path)
            if not create:
                self._hidden.tidy()
        self._sync({os.path.dirname(target)})
        return written.etag

    def copy(self, target: str, source: BinaryIO) -> None:
        """One file of what `source` holds, durable on return."""
        written = self._hidden.copy(source)
        try:
            self._place(written, target)
        finally:
            drop(written.path)
            self._hidden.tidy()
        self._sync({os.path.dirname(target)})

    def write_batch(self, bodies: Mapping[str, bytes]) -> None:
        """Several files by path, durable on return; none is named before all are synced."""
        targets = list(bodies)
        waiting = self._each(self._hidden.write, bodies.values(), undo=lambda written: drop(written.path))
        try:
            with self._hidden.lock(exclusive=False):
                for target, written in zip(targets, waiting, strict=True):
                    self._named(target, partial(_rename, written, target))
        except BaseException:
            for written in waiting:
                drop(written.path)
            raise
        self._sync({os.path.dirname(target) for target in targets})

    def remove(self, target: str) -> None:
        """Remove a file, and the folders that it leaves empty; no error if there is no such file."""
        if not os.path.isfile(target):
            return
        with self._hidden.lock(exclusive=True):
            with suppress(FileNotFoundError):
                os.unlink(target)
            self._folders.prune(os.path.dirname(target))
        self._hidden.tidy()

    def _place(self, written: Written, target: str, *, create: bool = False, if_match: str | None = None) -> None:
        """Give a complete file its name, under the conditions."""
        if create and self._links:
            try:
                with self._hidden.lock(exclusive=False):
                    return self._named(target, partial(link_new, written, target))
            except NoLinksError:
                self._links = False
        with self._hidden.lock(exclusive=create or if_match is not None):
            if if_match is not None and _etag(target) != if_match:
                raise TakenError(target)
            name = rename_new if create else _rename
            return self._named(target, partial(name, written, target))

    def _named(self, target: str, name: Callable[[], None]) -> None:
        """Call `name` with the folder of `target` in place, made again when somebody just removed it."""
        folder = os.path.dirname(target)
        for _ in range(_TRIES - 1):
            self._folders.make(folder)
            try:
                return name()
            except FileNotFoundError:
                self._folders.forget(folder)
        self._folders.make(folder)
        return name()

    def _sync(self, folders: Iterable[str]) -> None:
        """Make the names in these folders durable, and the names of folders that are new."""
        needed = self._folders.to_sync(folders)
        self._each(sync_folder, needed)
        self._folders.synced(needed)

    def _each(
        self, action: Callable[[_T], _R], items: Collection[_T], *, undo: Callable[[_R], None] | None = None
    ) -> list[_R]:
        """`action` of every item, several at a time; when one fails, all end first and `undo` takes back the others."""
        todo = list(items)
        if len(todo) == 1:
            return [action(todo[0])]
        done: dict[int, _R] = {}

        def every_nth(first: int) -> None:
            for index in range(first, len(todo), self._size):
                done[index] = action(todo[index])

        futures = [self._threads().submit(every_nth, first) for first in range(min(self._size, len(todo)))]
        wait(futures)
        if undo is not None and any(future.exception() for future in futures):
            for result in done.values():
                undo(result)
        for future in futures:
            future.result()
        return [done[index] for index in range(len(todo))]

    def _threads(self) -> ThreadPoolExecutor:
        """The pool of this store, made on first use; its threads end when the store is forgotten."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._size, thread_name_prefix="store-disk")
            return self._pool


def _rename(written: Written, target: str) -> None:
    """Give the file its name, whatever that names now."""
    os.rename(written.path, target)


def _etag(path: str) -> str | None:
    """The ETag of a file, None if there is none."""
    try:
        return etag_of(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
