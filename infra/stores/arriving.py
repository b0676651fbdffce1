"""A local file that appears only when it is complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


@contextmanager
def arriving_file(path: str) -> Iterator[BinaryIO]:
    """A file to write; it takes its name `path` when the block ends well, and vanishes when it does not.

    Folders are created on use. An older file of that name is replaced.

    Raises:
        OSError: the local disk cannot hold it; no error of a store.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    temp = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(8)}.part")
    try:
        with open(temp, "xb") as file:
            yield file
        os.replace(temp, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temp)
        raise
