"""What a failing disk means: wait and try again, or mend it first."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pipeline.errors import StoreRefusedError, StoreUnavailableError

_REMEDIES: Final = {
    errno.EROFS: "it is read-only: mount it writable, or choose another store",
    errno.EACCES: "permission denied: give this user the right to read and write there, or choose another store",
    errno.EPERM: "not permitted: give this user the right to read and write there, or choose another store",
    errno.ENOTDIR: "a file stands where a folder is needed: remove it, or choose another store",
    errno.EISDIR: "a folder stands where a file is needed: remove it, or choose another store",
    errno.EEXIST: "a file stands where a folder is needed: remove it, or choose another store",
    errno.ENAMETOOLONG: "the path is too long for this file system: choose a shorter store path",
    errno.EXDEV: "parts of it lie on different file systems: keep the whole store on one",
    errno.ELOOP: "its symbolic links run in a circle: mend them, or choose another store",
    errno.EFBIG: "the file is too large for this file system: choose another store",
}
"""Errors that waiting does not cure, each with what does."""

_TEMPORARY: Final = {
    errno.ENOSPC: "the disk is full: free some space, the work goes on by itself",
    errno.EDQUOT: "the disk quota is used up: free some space, the work goes on by itself",
    errno.EIO: "the disk reports an input/output error: look at the disk if this stays",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n) if this stays",
}


@contextmanager
def disk_errors(root: str) -> Iterator[None]:
    """Turn an `OSError` of the block into the tree of errors.

    Raises:
        StoreRefusedError: the user must mend the disk or choose another store.
        StoreUnavailableError: it may work later.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        place = error.filename2 or error.filename or root
        shown = place.decode(errors="replace") if isinstance(place, bytes) else place
        if number in _REMEDIES:
            raise StoreRefusedError(f"{shown}: {_REMEDIES[number]}") from error
        reason = _TEMPORARY.get(number, error.strerror or str(error))
        raise StoreUnavailableError(f"{shown}: {reason}") from error
