"""Folders made on use, whose names are as durable as the files in them."""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress


class Folders:
    """The folders of one store on disk, and which of them this process has seen to be durable.

    Args:
        root: absolute path of the store.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._durable: set[str] = set()

    def make(self, folder: str) -> None:
        """Make `folder` and its parents where they are missing."""
        if folder not in self._durable:
            os.makedirs(folder, exist_ok=True)

    def to_sync(self, folders: Iterable[str]) -> list[str]:
        """What to sync so that new files in `folders` stay: each folder once, and the way to those that may be new."""
        needed: dict[str, None] = {}
        for folder in folders:
            inner = folder
            needed[inner] = None
            while inner not in self._durable and inner != self._root:
                inner = os.path.dirname(inner)
                needed[inner] = None
        return list(needed)

    def synced(self, folders: Iterable[str]) -> None:
        """Remember that the names of `folders` are durable."""
        self._durable.update(folders)

    def forget(self, folder: str) -> None:
        """`folder` turned out to be gone: the next `make` looks again."""
        self._durable.discard(folder)

    def prune(self, folder: str) -> None:
        """Remove `folder` and its parents as long as they are empty; never the root."""
        while folder != self._root:
            try:
                os.rmdir(folder)
            except OSError:
                return
            self.forget(folder)
            folder = os.path.dirname(folder)


def sync_folder(path: str) -> None:
    """Make the names in this folder durable; file systems that cannot sync folders are let be.

    A folder that is gone held nothing that should stay.
    """
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
                raise
        finally:
            os.close(descriptor)
