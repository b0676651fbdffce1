"""A model that lies in a folder or a file of this machine, and its immutable revision."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import ModelError

_CHUNK_BYTES = 1 << 20


class FolderFiles:
    """The files of a diffusers folder; nothing deeper than its components is looked at."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = sorted(
            path.relative_to(folder).as_posix()
            for pattern in ("*", "*/*", "*/*/*")
            for path in folder.glob(pattern)
            if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
        )

    @property
    def place(self) -> str:
        return str(self._folder)

    def names(self) -> Sequence[str]:
        return self._names

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise ModelError(
                f"{self._folder / name}: cannot be read ({error.strerror}); mend its permissions"
            ) from error


def content_revision(files: Sequence[tuple[str, Path]]) -> str:
    """`sha256:` and the hash over the names and contents of these files, in the order of their names.

    Raises:
        ModelError: a file cannot be read.
    """
    total = hashlib.sha256()
    for name, path in sorted(files):
        digest = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
        total.update(f"{name}\0{digest.hexdigest()}\n".encode())
    return f"sha256:{total.hexdigest()}"
