"""Makes room in a node's cache of models: what was used longest ago goes first, what is in use never."""

import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.model_cache.lock import FileLock
from infra.model_cache.place import CACHE_FOLDER, CACHE_GIB, CachePlace
from pipeline.errors import ModelUnavailableError

FILLING: Final = ".filling"
"""Ending of the folder of a model that is not complete."""

_GONE: Final = ".gone-"
_MODEL: Final = re.compile(r"[0-9a-f]{64}")
_SPARE: Final = 0.02
"""Share of the disk that is left free where what is evictable allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """One model of the cache, complete or not."""

    content: str
    bytes: int
    """On the disk."""
    used_at: float


def make_room(place: CachePlace, content: str, wanted_bytes: int) -> None:
    """Remove models until there is room for one; whoever calls holds the cache's own lock.

    Args:
        place: the cache.
        content: the model that is to come, which is not removed.
        wanted_bytes: its size, as far as it is not there yet.

    Raises:
        ModelUnavailableError: there is not enough room without models that are in use.
        OSError: the disk fails.
    """
    kept = sorted(_kept(place.folder), key=lambda one: one.used_at)
    total = sum(one.bytes for one in kept) + wanted_bytes
    disk = shutil.disk_usage(place.folder)
    free = disk.free
    for one in kept:
        too_much = place.limit_bytes is not None and total > place.limit_bytes
        if not too_much and free - wanted_bytes >= disk.total * _SPARE:
            break
        if one.content != content and _evict(place.folder, one.content):
            total, free = total - one.bytes, free + one.bytes
    free = shutil.disk_usage(place.folder).free
    if free < wanted_bytes:
        raise no_room(place.folder, f"{_gib(wanted_bytes)} are needed and {_gib(free)} are free")
    if place.limit_bytes is not None and total > place.limit_bytes:
        limit = f"{CACHE_GIB} allows {_gib(place.limit_bytes)}"
        raise no_room(place.folder, f"{_gib(total)} are needed with the models in use and {limit}")


def no_room(folder: Path, why: str) -> ModelUnavailableError:
    """The error of a disk that is full."""
    return ModelUnavailableError(
        f"{folder}: no room for the model: {why}; free some space, or name a larger disk with {CACHE_FOLDER}"
    )


def bytes_on_disk(folder: Path) -> int:
    """What a folder's files take up; 0 where there is none."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) if folder.is_dir() else 0


def _kept(folder: Path) -> list[_Kept]:
    """All models of the cache; what an eviction that died left behind is removed."""
    found = []
    for path in list(folder.iterdir()):
        content = path.name.removesuffix(FILLING)
        if _GONE in path.name:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir() and _MODEL.fullmatch(content):
            lock = folder / f"{content}.lock"
            used_at = lock.stat().st_mtime if lock.exists() else 0.0
            found.append(_Kept(content=content, bytes=bytes_on_disk(path), used_at=used_at))
    return found


def _evict(folder: Path, content: str) -> bool:
    """Remove a model unless somebody holds it; it goes by one rename, so nobody sees half of it."""
    with FileLock(folder / f"{content}.lock") as lock:
        if not lock.try_exclude():
            return False
        for path in (folder / content, folder / f"{content}{FILLING}"):
            if path.exists():
                gone = folder / f"{content}{_GONE}{secrets.token_hex(4)}"
                path.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
        (folder / f"{content}.parts").unlink(missing_ok=True)
    return True


def _gib(amount: int) -> str:
    return f"{amount / 2**30:.2f} GiB"
