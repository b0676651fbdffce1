"""A folder that images are handed over to: a file appears only when it is complete and its hash is right."""

import hashlib
import shutil
from pathlib import Path

from jobs.committed import Wanted, expected_hash
from jobs.delivery.index import CSV, PARQUET
from jobs.delivery.target import Arrival
from pipeline.errors import NotFoundError, UserError
from pipeline.ports import Store
from pipeline.store_abilities import Linking, Unchecking

_MOST_AT_ONCE = 8 << 20
"""Bytes of an image that passes through memory whole; larger ones are streamed."""


class FolderTarget:
    """Implements `Target`.

    Args:
        store: where the images lie.
        folder: where to.

    Raises:
        UserError: the folder lies in the store.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        refuse_store_folder(store, folder)
        self._store, self._folder = store, folder

    @property
    def uri(self) -> str:
        """The folder's path, as it was given."""
        return str(self._folder)

    def prepare(self) -> None:
        """See `Target.prepare`."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def receive(self, name: str, wanted: Wanted) -> Arrival:
        """See `Target.receive`. Raises: OSError: the folder cannot be written."""
        if not wanted.key:
            return Arrival(name=name, wanted=wanted, fate="not_there")
        right = expected_hash(wanted.key, wanted.sha256)
        path = self._folder / name
        if path.is_file() and path.stat().st_size == wanted.bytes and (found := hash_of(path)).startswith(right):
            return Arrival(name=name, wanted=wanted, fate="kept", sha256=found)
        path.parent.mkdir(parents=True, exist_ok=True)
        arriving = path.with_name(f".{path.name}.part")
        try:
            found = self._fetched(wanted, arriving)
            if not found.startswith(right):
                return Arrival(name=name, wanted=wanted, fate="bad", message=f"{wanted.key} is damaged in the store")
            arriving.replace(path)
        except NotFoundError:
            return Arrival(name=name, wanted=wanted, fate="missing", message=f"{wanted.key} is missing in the store")
        finally:
            arriving.unlink(missing_ok=True)
        return Arrival(name=name, wanted=wanted, fate="fetched", sha256=found)

    def _fetched(self, wanted: Wanted, place: Path) -> str:
        """Put an image into a file; gives its hash. Raises: NotFoundError."""
        if wanted.bytes > _MOST_AT_ONCE:
            self._store.download(wanted.key, str(place))
            return hash_of(place)
        body = self._store.get_unchecked(wanted.key) if isinstance(self._store, Unchecking) else b""
        found = hashlib.sha256(body).hexdigest()
        if not found.startswith(expected_hash(wanted.key, wanted.sha256)):
            body = self._store.get(wanted.key)
            found = hashlib.sha256(body).hexdigest()
        place.write_bytes(body)
        return found

    @property
    def gives_links(self) -> bool:
        """See `Target.gives_links`; they lead into the store."""
        return isinstance(self._store, Linking)

    def link(self, arrival: Arrival, *, seconds: int) -> str:
        """See `Target.link`."""
        return self._store.link(arrival.wanted.key, seconds=seconds) if isinstance(self._store, Linking) else ""

    def has(self, name: str) -> bool:
        """See `Target.has`."""
        return (self._folder / name).is_file()

    def earlier_index(self, folder: Path) -> Path | None:
        """See `Target.earlier_index`; it is where it is."""
        place = self._folder / PARQUET
        return place if place.is_file() else None

    def keep_index(self, csv: Path, parquet: Path) -> None:
        """See `Target.keep_index`; each file appears whole."""
        for made, name in ((csv, CSV), (parquet, PARQUET)):
            arriving = self._folder / f".{name}.part"
            shutil.move(made, arriving)
            arriving.replace(self._folder / name)


def refuse_store_folder(store: Store, folder: Path) -> None:
    """Nothing but a job's own objects is ever written into a store. Raises: UserError: the folder lies in it."""
    if "://" in store.uri or store.uri.startswith("memory:"):
        return
    root = Path(store.uri).resolve()
    if folder.resolve() == root or root in folder.resolve().parents:
        raise UserError(f"{folder}: lies inside the store {root}; choose a folder outside of it with --to")


def hash_of(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
