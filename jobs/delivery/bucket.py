"""A prefix of a bucket that images are handed over to: copied by the service itself where it can, else through here."""

import hashlib
import tempfile
from pathlib import Path

from jobs.committed import Wanted, expected_hash
from jobs.delivery.folder import hash_of
from jobs.delivery.index import CSV, PARQUET
from jobs.delivery.target import Arrival
from pipeline.errors import NotFoundError, StoreRefusedError
from pipeline.ports import Store


class BucketTarget:
    """Implements `Target`.

    Args:
        store: where the images lie.
        uri: `s3://bucket/prefix`, on the endpoint of the environment.

    Raises:
        StoreRefusedError: it names no place in a bucket.
    """

    def __init__(self, store: Store, uri: str) -> None:
        from infra.stores.s3 import S3Store
        from infra.stores.s3_target import S3Target

        self._store = store
        self._target: S3Target = S3Target.from_uri(uri)  # type: ignore[assignment]
        self._beside: S3Store | None = None
        """The store, where the service can copy from it."""
        if isinstance(store, S3Store) and store.place[0] == self._target.place[0]:
            self._beside = store
        self._empty = False

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return self._target.uri

    def prepare(self) -> None:
        """See `Target.prepare`; in an empty place nothing need be looked for."""
        self._empty = next(iter(self._target.list("")), None) is None

    def receive(self, name: str, wanted: Wanted) -> Arrival:
        """See `Target.receive`."""
        if not wanted.key:
            return Arrival(name=name, wanted=wanted, fate="not_there")
        if not self._empty and self._holds(name, wanted):
            return Arrival(name=name, wanted=wanted, fate="kept", sha256=wanted.sha256)
        try:
            if self._copied(name, wanted):
                return Arrival(name=name, wanted=wanted, fate="fetched", sha256=wanted.sha256)
            return self._streamed(name, wanted)
        except NotFoundError:
            return Arrival(name=name, wanted=wanted, fate="missing", message=f"{wanted.key} is missing in the store")

    @property
    def gives_links(self) -> bool:
        """See `Target.gives_links`."""
        return True

    def link(self, arrival: Arrival, *, seconds: int) -> str:
        """See `Target.link`."""
        return self._target.link(arrival.name, seconds=seconds)

    def has(self, name: str) -> bool:
        """See `Target.has`; nobody asks the service for each of them."""
        return True

    def earlier_index(self, folder: Path) -> Path | None:
        """See `Target.earlier_index`."""
        place = folder / "earlier.parquet"
        try:
            self._target.download(PARQUET, str(place))
        except NotFoundError:
            return None
        return place

    def keep_index(self, csv: Path, parquet: Path) -> None:
        """See `Target.keep_index`."""
        self._target.send(CSV, str(csv))
        self._target.send(PARQUET, str(parquet))

    def _holds(self, name: str, wanted: Wanted) -> bool:
        """Whether it was delivered before."""
        known = self._target.holds(name, wanted.key, size_bytes=wanted.bytes)
        if known is None and self._beside is not None:  # a service that keeps no metadata
            return self._target.same_content(name, self._beside, wanted.key)
        if known is None:
            right = expected_hash(wanted.key, wanted.sha256)
            return hashlib.sha256(self._target.get(name)).hexdigest().startswith(right)
        return known

    def _copied(self, name: str, wanted: Wanted) -> bool:
        """Whether the service copied it; one that refuses is not asked again."""
        if self._beside is None:
            return False
        try:
            self._target.copy(name, self._beside, wanted.key)
        except StoreRefusedError:
            self._beside = None
            return False
        return True

    def _streamed(self, name: str, wanted: Wanted) -> Arrival:
        """Through a file on this machine, which is checked on the way. Raises: NotFoundError."""
        with tempfile.TemporaryDirectory(prefix="spotrender-") as folder:
            path = Path(folder) / "image"
            self._store.download(wanted.key, str(path))
            found = hash_of(path)
            if not found.startswith(expected_hash(wanted.key, wanted.sha256)):
                return Arrival(name=name, wanted=wanted, fate="bad", message=f"{wanted.key} is damaged in the store")
            self._target.send(name, str(path), wanted.key)
        return Arrival(name=name, wanted=wanted, fate="fetched", sha256=found)
