"""Can this store be written and read, and does it honour create-only puts? Asked at start-up and by `doctor`."""

import uuid
from contextlib import suppress

from pipeline.errors import AlreadyExistsError, NotFoundError, StoreRefusedError, StoreUnavailableError
from pipeline.ports import Store

PROBE_FOLDER = "jobs/.probe/"
"""Where probes are written; no job is ever called so."""

_NO_ETAG = "0" * 32
"""The ETag of nothing."""


def probe_create_only(store: Store, *, token: str = "") -> bool:
    """Write one key twice with mode `create`, read it back, remove it.

    Args:
        store: the store to probe.
        token: what makes the key unique; random when not given.

    Returns:
        Whether the second write was refused. `False` means that the store ignores the condition: records stay
        correct, since their names are unique, but two drivers of one job are not kept apart.

    Raises:
        StoreRefusedError: it cannot be written or read, or gives back other bytes than were written.
        StoreUnavailableError: it does not answer.
    """
    key = PROBE_FOLDER + (token or uuid.uuid4().hex)
    store.put(key, b"first", mode="create")
    try:
        honoured = _refuses(store, key, b"second")
        if store.get(key) != (b"first" if honoured else b"second"):
            raise StoreRefusedError(f"{store.uri} gives back other bytes than were written: use another store")
    except NotFoundError as error:
        raise StoreRefusedError(f"{store.uri} does not show what was just written: use another store") from error
    finally:
        # A store that lets nobody delete can still hold a job; the probe stays behind then.
        with suppress(StoreRefusedError, StoreUnavailableError):
            store.delete(key)
    return honoured


def _refuses(store: Store, key: str, body: bytes) -> bool:
    """Whether the store refuses to create `key` once more."""
    try:
        store.put(key, body, mode="create")
    except AlreadyExistsError:
        return True
    return False


def probe_conditional(store: Store, *, token: str = "") -> bool:
    """Whether the store honours create-only puts, and puts under an ETag: what the lease of a job rests on.

    Args:
        store: the store to probe.
        token: what makes the key unique; random when not given.

    Raises:
        StoreRefusedError: it cannot be written or read, or gives back other bytes than were written.
        StoreUnavailableError: it does not answer.
    """
    token = token or uuid.uuid4().hex
    if not probe_create_only(store, token=token):
        return False
    key = f"{PROBE_FOLDER}{token}-etag"
    store.put(key, b"first")
    try:
        store.put(key, b"second", if_match=_NO_ETAG)
    except AlreadyExistsError:
        return True
    else:
        return False
    finally:
        with suppress(StoreRefusedError, StoreUnavailableError):
            store.delete(key)
