"""A lock on a file, shared or exclusive, that dies with its process however that dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLock:
    """One holder's claim; several in one process are apart. The file stays, as removing it would split the lock.

    Args:
        path: of the file, which is made when missing.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def share(self) -> None:
        """Hold it beside other sharers; waits for an exclusive holder. An exclusive claim of our own ends first."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def exclude(self) -> None:
        """Hold it alone; waits for all others. A shared claim of our own ends first."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def try_exclude(self) -> bool:
        """Hold it alone if nobody has it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def touch(self) -> None:
        """Note that what it guards is used now."""
        os.utime(self._descriptor)

    def close(self) -> None:
        """Let go of it."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
