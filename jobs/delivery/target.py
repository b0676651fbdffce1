"""Where images are handed over to: what that place can do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from jobs.committed import Wanted

Fate = Literal["fetched", "kept", "bad", "missing", "not_there"]
"""Moved now; there already and sound; not in the store as its record says; nothing to move yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What became of one image."""

    name: str
    wanted: Wanted
    fate: Fate
    sha256: str = ""
    """Of the whole file; empty where nobody read it and the record does not tell."""
    message: str = ""


class Target(Protocol):
    """A folder, or a prefix of a bucket. Safe to call from several threads."""

    @property
    def uri(self) -> str:
        """As the user knows it."""

    def prepare(self) -> None:
        """Make it ready to receive. Raises: OSError, UserError: it cannot be."""

    def receive(self, name: str, wanted: Wanted) -> Arrival:
        """Make the image be there under this name, whole, unless it is."""

    @property
    def gives_links(self) -> bool:
        """Whether there are links to what is handed over."""

    def link(self, arrival: Arrival, *, seconds: int) -> str:
        """A link by which anybody fetches an image that has arrived."""

    def has(self, name: str) -> bool:
        """Whether there is still something under a name that was used before."""

    def earlier_index(self, folder: Path) -> Path | None:
        """The `index.parquet` of before, on this machine; None where there is none.

        Args:
            folder: for a copy of it.
        """

    def keep_index(self, csv: Path, parquet: Path) -> None:
        """Take the finished index; both files are moved or copied from where they are."""
