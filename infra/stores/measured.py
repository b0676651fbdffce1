"""Any store, with a count of what it is asked, how long that takes, and how often no proper answer comes."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from pipeline.errors import StoreRefusedError, StoreUnavailableError
from pipeline.ports import ObjectInfo, PutMode, Ranged, Store
from pipeline.pricing.storage_cost import StoreCalls, calls_of
from pipeline.store_use import Used

_T = TypeVar("_T")


class MeasuredStore:
    """Implements `pipeline.ports.Store`.

    Args:
        store: the real one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._use: dict[str, Used] = {}

    @property
    def uri(self) -> str:
        """Of the real one."""
        return self._store.uri

    @property
    def calls(self) -> StoreCalls:
        """What the real one says that it will charge for."""
        return calls_of(self._store)

    @property
    def use(self) -> Mapping[str, Used]:
        """By operation, so far."""
        with self._lock:
            return dict(self._use)

    def get(self, key: str) -> bytes:
        """See `Store.get`."""
        return self._timed("get", lambda: self._store.get(key))

    def read_part(self, key: str, start: int, buffer: memoryview) -> None:
        """See `Ranged.read_part`; every store of the table can do it."""
        store = self._store
        if not isinstance(store, Ranged):
            raise StoreRefusedError(f"{self.uri}: parts of objects cannot be read there")
        self._timed("read_part", lambda: store.read_part(key, start, buffer))

    def download(self, key: str, path: str) -> None:
        """See `Store.download`."""
        self._timed("download", lambda: self._store.download(key, path))

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """See `Store.put`."""
        return self._timed("put", lambda: self._store.put(key, body, mode=mode, if_match=if_match))

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """See `Store.put_batch`."""
        self._timed("put_batch", lambda: self._store.put_batch(objects))

    def upload(self, key: str, path: str) -> None:
        """See `Store.upload`."""
        self._timed("upload", lambda: self._store.upload(key, path))

    def head(self, key: str) -> ObjectInfo | None:
        """See `Store.head`."""
        return self._timed("head", lambda: self._store.head(key))

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """See `Store.list`; the time is that of the first object, as what comes between the others is the caller's."""
        return self._listed(self._store.list(prefix, start_after=start_after))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See `Store.list_folders`."""
        return self._listed(self._store.list_folders(prefix))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._timed("delete", lambda: self._store.delete(key))

    def _listed(self, found: Iterator[_T]) -> Iterator[_T]:
        first = self._timed("list", lambda: list(_one(found)))
        yield from first
        if first:
            yield from found

    def _timed(self, operation: str, call: Callable[[], _T]) -> _T:
        started_ns, errors = time.monotonic_ns(), 0
        try:
            return call()
        except (StoreUnavailableError, StoreRefusedError):
            errors = 1
            raise
        finally:
            used = Used(1, errors, time.monotonic_ns() - started_ns)
            with self._lock:
                self._use[operation] = self._use.get(operation, Used()) + used


def _one(found: Iterator[_T]) -> Iterator[_T]:
    """The first one, if there is one."""
    for one in found:
        yield one
        return
