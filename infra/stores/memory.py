"""A store in memory, with the semantics of a real one: for tests and rehearsals within one process."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Final

from infra.stores.arriving import arriving_file
from infra.stores.keys import check_folder, check_key, check_prefix
from pipeline.errors import AlreadyExistsError, NotFoundError, StoreUnavailableError
from pipeline.ports import ObjectInfo, PutMode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """One object."""

    body: bytes
    etag: str
    modified_at: datetime


class MemoryStore:
    """Objects in a dictionary, behind one lock.

    Args:
        uri: what `uri` says; `memory:` when not given.
        now_ns: nanoseconds since the epoch, for `modified_at`.
    """

    def __init__(self, uri: str = "memory:", *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._uri = uri
        self._now_ns = now_ns
        self._objects: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._writes = count()

    @classmethod
    def from_uri(cls, uri: str) -> "MemoryStore":
        """The store `memory:name`; within one process the same name is the same store."""
        return _named(uri)

    @property
    def uri(self) -> str:
        """`memory:name`."""
        return self._uri

    def __repr__(self) -> str:
        return f"MemoryStore({self._uri!r})"

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        return self._held(key).body

    def download(self, key: str, path: str) -> None:
        """See `Store.download`."""
        body = self._held(key).body
        with arriving_file(path) as file:
            file.write(body)

    def read_part(self, key: str, start: int, buffer: memoryview) -> None:
        """See `Ranged.read_part`."""
        part = self._held(key).body[start : start + len(buffer)]
        if len(part) < len(buffer):
            raise StoreUnavailableError(f"{self._uri}: {key} is shorter than expected")
        buffer[:] = part

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """See `Store.put`. Raises: ValueError when both `create` and `if_match` are asked for."""
        check_key(key)
        if mode == "create" and if_match is not None:
            raise ValueError("a put is either create-only or conditional on an ETag, not both")
        content = bytes(body)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        with self._lock:
            old = self._objects.get(key)
            if mode == "create" and old is not None:
                raise AlreadyExistsError(f"{self._uri}: {key} exists")
            if if_match is not None and (old is None or old.etag != if_match):
                raise AlreadyExistsError(f"{self._uri}: {key} is not the object of ETag {if_match}")
            modified_at = _EPOCH + timedelta(microseconds=self._now_ns() // 1000)
            held = _Held(body=content, etag=f"{digest}-{next(self._writes)}", modified_at=modified_at)
            self._objects[key] = held
        return held.etag

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """See `Store.put_batch`."""
        for key in objects:
            check_key(key)
        for key, body in objects.items():
            self.put(key, body)

    def upload(self, key: str, path: str) -> None:
        """See `Store.upload`."""
        check_key(key)
        with open(path, "rb") as file:
            self.put(key, file.read())

    def head(self, key: str) -> ObjectInfo | None:
        """See `Store.head`."""
        check_key(key)
        with self._lock:
            held = self._objects.get(key)
        return None if held is None else _info(key, held)

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; what is listed is what was there at the first step."""
        check_prefix(prefix)
        # Code points and UTF-8 bytes sort alike, since keys hold no surrogates.
        with self._lock:
            found = sorted(
                item for item in self._objects.items() if item[0].startswith(prefix) and item[0] > start_after
            )
        for key, held in found:
            yield _info(key, held)

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `Store.list_folders`."""
        check_folder(prefix)
        with self._lock:
            rests = [key[len(prefix) :] for key in self._objects if key.startswith(prefix)]
        yield from sorted({rest.split("/", 1)[0] + "/" for rest in rests if "/" in rest})

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        check_key(key)
        with self._lock:
            self._objects.pop(key, None)

    def _held(self, key: str) -> _Held:
        """The object of this key. Raises: NotFoundError."""
        check_key(key)
        with self._lock:
            held = self._objects.get(key)
        if held is None:
            raise NotFoundError(f"{self._uri}: there is no {key}")
        return held


def _info(key: str, held: _Held) -> ObjectInfo:
    """What the store knows of one object."""
    return ObjectInfo(key=key, size_bytes=len(held.body), etag=held.etag, modified_at=held.modified_at)


@lru_cache(maxsize=256)
def _named(uri: str) -> MemoryStore:
    """One store per URI, so that two openings of `memory:x` in a process meet."""
    return MemoryStore(uri)
