"""What start-up and `doctor` learn about a store by writing to it."""

import pytest

from infra.stores.memory import MemoryStore
from pipeline.errors import AlreadyExistsError, NotFoundError, StoreRefusedError, StoreUnavailableError
from pipeline.ports import PutMode
from pipeline.probe import PROBE_FOLDER, probe_create_only


class _Careless(MemoryStore):
    """Overwrites, whatever is asked."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        return super().put(key, body)


class _Forgetful(MemoryStore):
    """Takes everything and keeps nothing."""

    def get(self, key: str) -> bytes:
        raise NotFoundError(key)


class _Garbling(MemoryStore):
    """Gives back other bytes."""

    def get(self, key: str) -> bytes:
        return super().get(key)[::-1]


class _Keeping(MemoryStore):
    """Lets nobody delete."""

    def delete(self, key: str) -> None:
        raise StoreRefusedError("access denied")


class _ReadOnly(MemoryStore):
    """Lets nobody write."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        raise StoreRefusedError("it is read-only")


class _Away(MemoryStore):
    """Does not answer."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        raise StoreUnavailableError("no answer")


def test_an_honest_store_passes_and_stays_empty() -> None:
    """Create-only is honoured, and the probe cleans up."""
    store = MemoryStore()
    assert probe_create_only(store)
    assert list(store.list("")) == []


def test_a_store_that_overwrites_is_noticed() -> None:
    """The condition is ignored: the answer is False, not an error."""
    store = _Careless()
    assert not probe_create_only(store)
    assert list(store.list("")) == []


@pytest.mark.parametrize("kind", [_Forgetful, _Garbling])
def test_a_store_that_does_not_read_its_writes_is_refused(kind: type[MemoryStore]) -> None:
    """No job can live in such a store."""
    with pytest.raises(StoreRefusedError, match="use another store"):
        probe_create_only(kind())


def test_a_store_that_cannot_be_written_says_so_itself() -> None:
    """The store's own error comes through unchanged."""
    with pytest.raises(StoreRefusedError, match="read-only"):
        probe_create_only(_ReadOnly())
    with pytest.raises(StoreUnavailableError):
        probe_create_only(_Away())


def test_a_store_without_delete_can_hold_a_job() -> None:
    """The probe stays behind under its own folder, and the answer is the same."""
    store = _Keeping()
    assert probe_create_only(store, token="fixed")
    assert [found.key for found in store.list("")] == [f"{PROBE_FOLDER}fixed"]


def test_probes_do_not_meet() -> None:
    """Two probes at once use two keys; a token that was used already is an error that shows."""
    store = _Keeping()
    assert probe_create_only(store)
    assert probe_create_only(store)
    probe_create_only(store, token="fixed")
    with pytest.raises(AlreadyExistsError):
        probe_create_only(store, token="fixed")
