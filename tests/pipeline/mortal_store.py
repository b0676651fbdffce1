"""A store that is the death of whoever calls it, at the calls that a test names."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.errors import StoreUnavailableError
from pipeline.ports import ObjectInfo, PutMode


class DiedError(BaseException):
    """The process ended here; nothing catches it, so nothing is tidied up."""


class MortalStore:
    """A store whose n-th writing call ends the process that makes it, before or after it took effect.

    Args:
        store: the real one.
        fatal: numbers of the calls, counted from 0, and whether the write takes effect first.
        clock: moves on with every call, so that no two objects have the same time.
        unanswered: numbers of the calls that take effect and whose response is lost.
        naps: numbers of the calls at which the process sleeps, and whether they take effect before it does.
        meanwhile: what happens while it sleeps.
    """

    def __init__(
        self,
        store: MemoryStore,
        fatal: Mapping[int, bool],
        clock: ManualClock,
        *,
        unanswered: frozenset[int] = frozenset(),
        naps: Mapping[int, bool] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._unanswered = unanswered
        self._naps, self._meanwhile = naps or {}, meanwhile
        self._store = store
        self._fatal = fatal
        self._clock = clock
        self.calls = 0

    @property
    def uri(self) -> str:
        """Of the real one."""
        return self._store.uri

    def _write(self, write: Callable[[], Any]) -> Any:
        self._clock.advance(0.01)
        number, self.calls = self.calls, self.calls + 1
        effect = self._fatal.get(number)
        if number in self._unanswered:
            write()
            raise StoreUnavailableError("the response was lost")
        if effect is None:
            return self._slept(number, write)
        if effect:
            write()
        raise DiedError(number)

    def _slept(self, number: int, write: Callable[[], Any]) -> Any:
        """Write, and sleep before or after that if this is a call to do so."""
        nap = self._naps.get(number)
        if nap is False:
            self._meanwhile()
        result = write()
        if nap is True:
            self._meanwhile()
        return result

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """Write, or die."""
        return str(self._write(lambda: self._store.put(key, body, mode=mode, if_match=if_match)))

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """Write one after the other; each may be the last."""
        for key, body in objects.items():
            self._write(lambda key=key, body=body: self._store.put(key, body))  # type: ignore[misc]

    def delete(self, key: str) -> None:
        """Delete, or die."""
        self._write(lambda: self._store.delete(key))

    def upload(self, key: str, path: str) -> None:
        """Write, or die."""
        self._write(lambda: self._store.upload(key, path))

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
