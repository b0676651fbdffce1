"""A node's cache of models: the first worker fetches, the others wait and then read the same files.

::

    <cache>/lock                 held while room is made
    <cache>/<content>.lock       shared by those who use the model, held alone by who fetches or removes it
    <cache>/<content>.filling/   its files, in full size from the start
    <cache>/<content>.parts      which parts are written
    <cache>/<content>.boot       when the machine was started that wrote them
    <cache>/<content>/           the same folder, complete, after one rename

`<content>` is the hash over names and contents of the files.
"""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import Final

from infra.model_cache.filling import Filling, mark_all
from infra.model_cache.lock import FileLock
from infra.model_cache.place import CACHE_FOLDER, CachePlace
from infra.model_cache.room import FILLING, bytes_on_disk, make_room, no_room
from pipeline.errors import ModelUnavailableError
from pipeline.ports import Ranged
from pipeline.weights import Weights

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def boot_id() -> str:
    """What is another one after every start of the machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A model in use; nobody removes it before `close`, or before this process ends."""

    folder: Path
    fetched_bytes: int
    """By this call; 0 where the files were there."""
    lock: FileLock

    def close(self) -> None:
        """It is not used any more."""
        self.lock.close()


class ModelCache:
    """The models on one node's disk, shared by all processes of one user.

    Args:
        place: where, and how much.
        filling: gives what fetches a model, by folder, marks and store.
        boot: tells one start of the machine from the next: what was written before it may not have reached the disk.
    """

    def __init__(
        self,
        place: CachePlace,
        *,
        filling: Callable[[Path, Path, Ranged], Filling] = Filling,
        boot: Callable[[], str] = boot_id,
    ) -> None:
        self._place, self._filling, self._boot = place, filling, boot

    def hold(self, weights: Weights, store: Ranged) -> Held:
        """A folder with the files of a model, fetched if they are not there; waits while somebody else fetches them.

        Raises:
            ModelUnavailableError: they cannot be had, or there is no room for them.
            StoreUnavailableError: the store does not answer.
        """
        content, root = weights.content, self._place.folder
        fetched = 0
        try:
            self._open()
            lock = FileLock(root / f"{content}.lock")
            try:
                while True:
                    lock.share()
                    lock.touch()
                    if self._is_ready(content):
                        return Held(folder=root / content, fetched_bytes=fetched, lock=lock)
                    lock.exclude()
                    if not self._is_ready(content):
                        fetched += self._fetch(weights, store)
            except BaseException:
                lock.close()
                raise
        except OSError as error:
            if error.errno in _FULL:
                raise no_room(root, str(error.strerror)) from error
            raise ModelUnavailableError(
                f"{root}: cannot keep models there ({error.strerror}); name another folder with {CACHE_FOLDER}"
            ) from error

    def _open(self) -> None:
        """Make the folder, which nobody else may write to. Raises: ModelUnavailableError: it is somebody else's."""
        root = self._place.folder
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = root.lstat()
        if not S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o002:
            raise ModelUnavailableError(
                f"{root}: is no folder that is this user's alone, so weights in it cannot be trusted; "
                f"name another one with {CACHE_FOLDER}"
            )

    def _is_ready(self, content: str) -> bool:
        """Whether the model is complete, and was so in this life of the machine."""
        root = self._place.folder
        boot = root / f"{content}.boot"
        return (root / content).is_dir() and boot.exists() and boot.read_text(encoding="ascii") == self._boot()

    def _fetch(self, weights: Weights, store: Ranged) -> int:
        """Bring the files, going on where whoever died left off; what was written before a restart is checked."""
        content, root = weights.content, self._place.folder
        folder, marks = root / f"{content}{FILLING}", root / f"{content}.parts"
        if (root / content).is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            (root / content).rename(folder)
            mark_all(marks, weights)
        folder.mkdir(mode=0o700, exist_ok=True)
        filling = self._filling(folder, marks, store)
        with FileLock(root / "lock") as alone:
            alone.exclude()
            make_room(self._place, content, max(0, weights.bytes - bytes_on_disk(folder)))
            filling.allocate(weights)
        fetched = filling.fill(weights)
        (root / f"{content}.boot").write_text(self._boot(), encoding="ascii")
        folder.rename(root / content)
        return fetched
