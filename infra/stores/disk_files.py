"""Files that appear whole and stay: written and synced under a hidden name, then moved into place."""

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

HIDDEN: Final = ".spotrender-tmp"
"""Folder in the store's root for files that are not complete yet, and for the lock."""

STALE_SECONDS: Final = 86_400
"""Age at which a file in the hidden folder belongs to a process that died."""

_NAME_CHARACTERS: Final = 32

_TRIES: Final = 100
"""How often the hidden folder is made again that other writers, with nothing in it, tidy away meanwhile."""

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class TakenError(Exception):
    """The name holds another file; apart from `FileExistsError`, which a file in a folder's place raises too."""


class NoLinksError(Exception):
    """The file system has no hard links, as exFAT and some network shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A complete, synced file that has no name in the store yet."""

    path: str
    """Where it waits."""
    etag: str
    """Its ETag, which moving does not change."""


def etag_of(found: os.stat_result) -> str:
    """Inode, time of the last change and size: another content always has another ETag (see `HiddenFolder.write`)."""
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


class HiddenFolder:
    """The hidden folder of one store on disk; made on first use, swept of dead processes' files then.

    Args:
        root: absolute path of the store.
        now: seconds since the epoch.
    """

    def __init__(self, root: str, *, now: Callable[[], float] = time.time) -> None:
        self._root = root
        self._path = os.path.join(root, HIDDEN)
        self._now = now
        self._swept = False

    def write(self, body: bytes) -> Written:
        """A new file of these bytes, synced to disk."""
        with self._new() as (path, file):
            file.write(body)
            return _synced(path, file)

    def copy(self, source: BinaryIO) -> Written:
        """A new file of what `source` holds, synced to disk."""
        with self._new() as (path, file):
            shutil.copyfileobj(source, file, 1 << 20)
            return _synced(path, file)

    @contextmanager
    def lock(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the store's lock, which is on its root folder, between processes and threads.

        Shared to give names; exclusive to look before that, or to remove folders.
        """
        os.makedirs(self._root, exist_ok=True)
        descriptor = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _new(self) -> Iterator[tuple[str, BinaryIO]]:
        """A new file, unbuffered; it is removed when the block fails."""
        name = secrets.token_hex(_NAME_CHARACTERS // 2)
        path = os.path.join(self._path, name)
        descriptor = self._open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with open(descriptor, "wb", buffering=1 << 16) as file:
                yield path, file
        except BaseException:
            drop(path)
            raise

    def _open(self, name: str, flags: int) -> int:
        """A descriptor of a file in the hidden folder, which is made when missing."""
        path = os.path.join(self._path, name)
        if not self._swept:
            self._swept = True
            self._sweep()
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError):
                return os.open(path, flags | os.O_CLOEXEC, 0o666)
            os.makedirs(self._path, exist_ok=True)
        return os.open(path, flags | os.O_CLOEXEC, 0o666)

    def tidy(self) -> None:
        """Remove the folder when nobody's file is in it, so that a store at rest holds nothing but objects.

        Not after batches and new objects, which come in thousands: making and removing it would double their time.
        """
        with suppress(OSError):
            os.rmdir(self._path)

    def _sweep(self) -> None:
        """Remove files that nobody has written to for a day; only names that `_new` gives."""
        oldest = self._now() - STALE_SECONDS
        with suppress(FileNotFoundError), os.scandir(self._path) as entries:
            for entry in entries:
                with suppress(OSError):
                    if len(entry.name) == _NAME_CHARACTERS and entry.is_file() and entry.stat().st_mtime < oldest:
                        os.unlink(entry.path)


def link_new(written: Written, target: str) -> None:
    """Give the file its name if that is free; exactly one of several callers, in any process, succeeds.

    Raises:
        TakenError: the name is taken.
        NoLinksError: the file system has no hard links: `rename_new`, under the exclusive lock, does the same.
        FileNotFoundError: the folder is not there (any more).
    """
    try:
        os.link(written.path, target)
    except FileExistsError as error:
        raise TakenError(target) from error
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise NoLinksError(target) from error
        raise
    drop(written.path)


def rename_new(written: Written, target: str) -> None:
    """`link_new` for callers that hold the exclusive lock."""
    if os.path.lexists(target):
        raise TakenError(target)
    os.rename(written.path, target)


def drop(path: str) -> None:
    """Remove a file that may be gone already; a leftover is swept later."""
    with suppress(OSError):
        os.unlink(path)


def _synced(path: str, file: BinaryIO) -> Written:
    """Sync the file and freeze its ETag.

    The file system's clock ticks in milliseconds, so two contents of one size could follow each other in one inode
    within a tick: a random part of a millisecond is added to tell them apart.
    """
    file.flush()
    descriptor = file.fileno()
    found = os.fstat(descriptor)
    os.utime(descriptor, ns=(found.st_atime_ns, found.st_mtime_ns + secrets.randbits(20)))
    os.fsync(descriptor)
    return Written(path=path, etag=etag_of(os.fstat(descriptor)))
