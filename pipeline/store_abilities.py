"""What some stores can do beside what `pipeline.ports.Store` asks of all of them."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Unchecking(Protocol):
    """A store whose own look at what arrives costs time that a caller can save who knows the hash."""

    def get_unchecked(self, key: str) -> bytes:
        """As `Store.get`, but of the bytes only the number is looked at."""


@runtime_checkable
class Linking(Protocol):
    """A store that gives out links to its objects."""

    def link(self, key: str, *, seconds: int) -> str:
        """A URL by which anybody fetches the object until so many seconds are over; looks at no object.

        Raises:
            ValueError: no such time is possible.
        """
