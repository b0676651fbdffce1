"""The table of stores: a URI becomes a store, and only the adapter that is asked for is imported."""

import re
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, Protocol, cast

from pipeline.errors import StoreRefusedError
from pipeline.ports import Store

STORES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "file": "infra.stores.local:LocalStore",
        "memory": "infra.stores.memory:MemoryStore",
        "s3": "infra.stores.s3:S3Store",
    }
)
"""Scheme -> `module:Class`; the class has `from_uri(uri)`. A path without a scheme is a `file`."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")

_REMEDY: Final = "give s3://bucket/prefix, or a local folder"


def open_store(uri: str) -> Store:
    """The store under `uri`: `s3://bucket/prefix`, a local path, `file:///path`, or `memory:name`.

    Touches neither disk nor network; the environment (endpoint, region, credentials) is read now.

    Raises:
        StoreRefusedError: the URI names no store; the text never repeats credentials found in it.
    """
    adapter = cast("_Adapter", _load(STORES[_scheme(uri)]))
    return adapter.from_uri(uri)


class _Adapter(Protocol):
    """What every class of the table offers beside the port."""

    def from_uri(self, uri: str) -> Store:
        """The store of this URI. Raises: StoreRefusedError."""


def _scheme(uri: str) -> str:
    """The row of the table that `uri` belongs to."""
    if not uri.strip() or "\0" in uri:
        raise StoreRefusedError(f"the store is empty or no path: {_REMEDY}")
    found = _SCHEME.match(uri)
    if found is None:
        return "file"
    scheme, slashes = found.group(1).lower(), found.group(2)
    if scheme == "memory":
        return scheme
    if scheme in STORES and not slashes:
        raise StoreRefusedError(f"{scheme}: is followed by two slashes in a store URI: {_REMEDY}")
    if scheme in STORES:
        return scheme
    if slashes:
        raise StoreRefusedError(f"no store knows {scheme}:// (known: {', '.join(sorted(STORES))}): {_REMEDY}")
    return "file"


def _load(place: str) -> object:
    """The object that `module:Name` names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
