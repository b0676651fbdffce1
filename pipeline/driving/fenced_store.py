"""The store as a driver writes to it: only while it holds the job's lease.

What is named by the driver's fence is written while the lease is surely held; a reader takes the highest fence, so a
late write is not believed. Everything else is written after the store itself has confirmed the lease, and in place of
the very object that was there before: a driver that was stopped between the two and wakes up after a takeover either
meets another object, and writes nothing, or is overwritten by the new driver, which writes all of that at its end.
"""

from collections.abc import Iterator, Mapping

from pipeline.driving.lease import Lease
from pipeline.errors import AlreadyExistsError
from pipeline.layout import job_folder
from pipeline.ports import ObjectInfo, PutMode, Store
from pipeline.store_use import Used, use_of

_TRIES = 5


class FencedStore:
    """Implements `pipeline.ports.Store`. Every write raises LeaseLostError once another driver has the lease.

    Args:
        store: the real one.
        lease: of the job that is driven; held.
    """

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease
        folder = job_folder(lease.job)
        self._fenced = (f"{folder}status/", f"{folder}nodes/", f"{folder}logs/")

    @property
    def uri(self) -> str:
        """Of the real one."""
        return self._store.uri

    @property
    def use(self) -> Mapping[str, Used]:
        """What the real one was asked, where it counts that."""
        return use_of(self._store)

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """See `Store.put`. Raises: LeaseLostError."""
        if key.startswith(self._fenced):
            self._lease.check()
            return self._store.put(key, body, mode=mode, if_match=if_match)
        if mode == "create" or if_match is not None:
            self._lease.confirm()
            return self._store.put(key, body, mode=mode, if_match=if_match)
        for _ in range(_TRIES):
            there = self._store.head(key)
            self._lease.confirm()
            try:
                if there is None:
                    return self._store.put(key, body, mode="create")
                return self._store.put(key, body, if_match=there.etag)
            except AlreadyExistsError:  # a late write of a driver before us, or our own whose answer was lost
                continue
        self._lease.confirm()
        return self._store.put(key, body)

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """See `Store.put_batch`. Raises: LeaseLostError."""
        self._lease.confirm()
        self._store.put_batch(objects)

    def upload(self, key: str, path: str) -> None:
        """See `Store.upload`. Raises: LeaseLostError."""
        self._lease.confirm()
        self._store.upload(key, path)

    def delete(self, key: str) -> None:
        """See `Store.delete`. Raises: LeaseLostError."""
        self._lease.confirm()
        self._store.delete(key)

    def get(self, key: str) -> bytes:
        """Of the real one."""
        return self._store.get(key)

    def download(self, key: str, path: str) -> None:
        """Of the real one."""
        self._store.download(key, path)

    def head(self, key: str) -> ObjectInfo | None:
        """Of the real one."""
        return self._store.head(key)

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Of the real one."""
        return self._store.list(prefix, start_after=start_after)

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Of the real one."""
        return self._store.list_folders(prefix)
