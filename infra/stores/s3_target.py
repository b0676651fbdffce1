"""A place in a bucket that images are delivered to, each with a note of which image it is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from infra.stores.s3 import S3Store
from infra.stores.s3_body import bare_etag
from pipeline.errors import NotFoundError

ORIGIN: Final = "spotrender-image"
"""The metadata of a delivered object that holds its image's key, without the folder."""

_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "png": "image/png",
        "webp": "image/webp",
        "jpeg": "image/jpeg",
        "jpg": "image/jpeg",
        "csv": "text/csv; charset=utf-8",
        "parquet": "application/vnd.apache.parquet",
    }
)


class S3Target(S3Store):
    """Objects under `s3://bucket/prefix`, as `S3Store`, with types that browsers know and a note of their origin."""

    def holds(self, key: str, origin: str, *, size_bytes: int) -> bool | None:
        """Whether an object is the delivered image of this key; None: there is one of its size that does not say."""
        named = self._named(key)
        try:
            found = self._ask(f"head {key}", lambda s3: s3.client.head_object(**named))
        except NotFoundError:
            return False
        noted = {name.lower(): value for name, value in found.get("Metadata", {}).items()}.get(ORIGIN)
        if found["ContentLength"] != size_bytes:
            return False
        return None if noted is None else noted == _note(origin)

    def copy(self, key: str, source: S3Store, origin: str) -> None:
        """Let the service copy an object of a store on the same endpoint; none of it passes through this machine.

        Raises:
            NotFoundError: the source is not there.
        """
        named = self._named(key)
        _, bucket, prefix = source.place
        self._ask(
            f"put {key}",
            lambda s3: s3.client.copy_object(
                **named,
                CopySource={"Bucket": bucket, "Key": f"{prefix}{origin}"},
                MetadataDirective="REPLACE",
                Metadata={ORIGIN: _note(origin)},
                ContentType=_type(key),
            ),
        )

    def send(self, key: str, path: str, origin: str = "") -> None:
        """Upload a local file. Raises: OSError: it cannot be read."""
        note = {"Metadata": {ORIGIN: _note(origin)}} if origin else {}
        self._upload(key, path, {"ContentType": _type(key), **note})

    def same_content(self, key: str, source: S3Store, origin: str) -> bool:
        """Whether two objects have the same ETag, where that is the hash of their content."""
        here, there = self.head(key), source.head(origin)
        if here is None or there is None or "-" in here.etag:
            return False
        return bare_etag(here.etag) == bare_etag(there.etag)


def _note(origin: str) -> str:
    """The image's file name in the store: its id and the hash of its bytes."""
    return origin.rpartition("/")[2]


def _type(key: str) -> str:
    """The media type, by the ending."""
    return _TYPES.get(key.rpartition(".")[2].lower(), "application/octet-stream")
