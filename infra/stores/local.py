"""A store in a local folder: objects appear whole, are durable on return, and several processes may share it."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from stat import S_ISREG
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from infra.stores.arriving import arriving_file
from infra.stores.disk_errors import disk_errors
from infra.stores.disk_files import HIDDEN, TakenError, etag_of
from infra.stores.disk_walk import folders, walk
from infra.stores.disk_writer import DiskWriter
from infra.stores.keys import check_folder, check_key, check_prefix
from pipeline.errors import AlreadyExistsError, NotFoundError, StoreRefusedError, StoreUnavailableError
from pipeline.ports import ObjectInfo, PutMode


class LocalStore:
    """Objects as files under one folder, which is made on the first write.

    Args:
        root: the folder; made absolute.
        now: seconds since the epoch, to tell what dead processes left behind.
        threads: how many files of a batch are written and synced at a time: disks commit them together.
    """

    def __init__(self, root: str, *, now: Callable[[], float] = time.time, threads: int = 8) -> None:
        self._root = os.path.abspath(os.path.expanduser(root))
        self._bytes = os.fsencode(self._root)
        self._writer = DiskWriter(self._root, now=now, threads=threads)

    @classmethod
    def from_uri(cls, uri: str) -> "LocalStore":
        """The store in a path, or in `file:///path`.

        Raises:
            StoreRefusedError: a `file:` URI of another machine or without an absolute path, or the path of a file.
        """
        path = uri
        if re.match("file://", uri, re.IGNORECASE):
            parts = urlsplit(uri)
            if parts.netloc not in {"", "localhost"} or not parts.path or parts.query or parts.fragment:
                raise StoreRefusedError("a file URI has three slashes and an absolute path: file:///folder")
            path = unquote(parts.path)
        store = cls(path)
        if os.path.exists(store.uri) and not os.path.isdir(store.uri):
            raise StoreRefusedError(f"{store.uri} is a file: give a folder as the store")
        return store

    @property
    def uri(self) -> str:
        """The absolute path of the folder."""
        return self._root

    def __repr__(self) -> str:
        return f"LocalStore({self._root!r})"

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        with self._opened(key) as file, disk_errors(self._root):
            return file.read()

    def download(self, key: str, path: str) -> None:
        """See `Store.download`. Raises: OSError when the local file cannot be written."""
        with self._opened(key) as file, arriving_file(path) as arriving:
            shutil.copyfileobj(file, arriving, 1 << 20)

    def read_part(self, key: str, start: int, buffer: memoryview) -> None:
        """See `Ranged.read_part`."""
        with self._opened(key) as file, disk_errors(self._root):
            file.seek(start)
            if file.readinto(buffer) < len(buffer):  # type: ignore[attr-defined] # as a file opened for bytes has it
                raise StoreUnavailableError(f"{self._root}: {key} is shorter than expected")

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """See `Store.put`. Raises: ValueError when both `create` and `if_match` are asked for."""
        target = self._path(key)
        if mode == "create" and if_match is not None:
            raise ValueError("a put is either create-only or conditional on an ETag, not both")
        with disk_errors(self._root):
            try:
                return self._writer.write(target, body, create=mode == "create", if_match=if_match)
            except TakenError as error:
                state = f"is not the object of ETag {if_match}" if if_match is not None else "exists"
                raise AlreadyExistsError(f"{self._root}: {key} {state}") from error

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """See `Store.put_batch`: all files are written and synced, then all named, then each folder synced once."""
        bodies = {self._path(key): body for key, body in objects.items()}
        with disk_errors(self._root):
            self._writer.write_batch(bodies)

    def upload(self, key: str, path: str) -> None:
        """See `Store.upload`. Raises: OSError when the local file cannot be opened."""
        target = self._path(key)
        with open(path, "rb") as source, disk_errors(self._root):
            self._writer.copy(target, source)

    def head(self, key: str) -> ObjectInfo | None:
        """See `Store.head`."""
        path = self._path(key)
        with disk_errors(self._root):
            try:
                found = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _info(key, found) if S_ISREG(found.st_mode) else None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; memory is that of the names of one folder."""
        check_prefix(prefix)
        with disk_errors(self._root):
            for key, found in walk(self._bytes, prefix.encode(), start_after.encode(), hidden=HIDDEN.encode()):
                yield _info(key, found)

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `Store.list_folders`; folders without any object are left out."""
        check_folder(prefix)
        with disk_errors(self._root):
            yield from folders(self._bytes, prefix.encode(), hidden=HIDDEN.encode())

    def delete(self, key: str) -> None:
        """See `Store.delete`; folders that it leaves empty go too."""
        path = self._path(key)
        with disk_errors(self._root):
            self._writer.remove(path)

    def _path(self, key: str) -> str:
        """The file of this key. Raises: ValueError when it is no legal key."""
        if check_key(key).split("/", 1)[0] == HIDDEN:
            raise ValueError(f"{key!r} is no store key: {HIDDEN} is the store's own")
        return os.path.join(self._root, key)

    @contextmanager
    def _opened(self, key: str) -> Iterator[BinaryIO]:
        """The object's file, open for reading. Raises: NotFoundError."""
        path = self._path(key)
        with ExitStack() as held:
            with disk_errors(self._root):
                try:
                    file = held.enter_context(open(path, "rb"))
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
                    raise NotFoundError(f"{self._root}: there is no {key}") from error
            yield file


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    """What the store knows of one file."""
    modified_at = datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, tz=UTC)
    return ObjectInfo(key=key, size_bytes=found.st_size, etag=etag_of(found), modified_at=modified_at)
