"""Where a line of the log comes from: worker, node, task and attempt, for whatever is said on a thread meanwhile."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

_PLACE: Final[ContextVar[Mapping[str, str]]] = ContextVar("place", default=MappingProxyType({}))


@contextmanager
def said_at(**place: str) -> Iterator[None]:
    """What this thread logs in the block comes from there; what an outer block said holds beside it."""
    before = _PLACE.set({**_PLACE.get(), **place})
    try:
        yield
    finally:
        _PLACE.reset(before)


def place() -> Mapping[str, str]:
    """Of this thread, now."""
    return _PLACE.get()
