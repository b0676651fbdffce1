"""Where wildcards are read from: a local folder, or one on S3. Nothing outside of it is ever opened."""

import stat
from pathlib import Path, PurePosixPath

from jobs.jobfile.jobfile import JobFile
from jobs.nearest import did_you_mean
from jobs.wiring import open_store
from pipeline.errors import NotFoundError
from pipeline.ports import Store
from pipeline.templates.syntax import TemplateError
from pipeline.templates.wildcards import MAX_WILDCARD_BYTES, ReadWildcard

FOLDER = "wildcards"
"""Beside the manifest, where the job file names no other."""

ENDING = ".txt"


def wildcard_reader(job_file: JobFile) -> ReadWildcard:
    """Reads the wildcards of a job; the folder need not be there before one is asked for."""
    folder = job_file.wildcards or _beside(job_file.manifest)
    if "://" in folder:
        return _from_store(folder)
    return _from_folder(Path(folder))


def _beside(manifest: str) -> str:
    """The folder `wildcards` beside a manifest; for stdin, that of the current folder."""
    if "://" in manifest:
        return f"{manifest.rpartition('/')[0]}/{FOLDER}"
    return str((Path.cwd() if manifest == "-" else Path(manifest).parent) / FOLDER)


def _from_folder(folder: Path) -> ReadWildcard:
    def read(name: str) -> tuple[str, bytes]:
        path = folder / f"{name}{ENDING}"
        try:
            whole = path.resolve(strict=True)
            if not whole.is_relative_to(folder.resolve()):
                raise TemplateError(f"{path}: leads out of the folder of wildcards; copy the file into it")
            found = whole.stat()
            if not stat.S_ISREG(found.st_mode):
                raise TemplateError(f"{path}: is no file")
            _refuse_large(str(path), found.st_size)
            with whole.open("rb") as file:
                return str(path), file.read(MAX_WILDCARD_BYTES + 1)
        except FileNotFoundError:
            known = [str(one.relative_to(folder).with_suffix("")) for one in _files(folder)]
            raise _missing(str(path), name, known) from None
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise TemplateError(f"{path}: cannot be read: {reason}") from None

    return read


def _files(folder: Path) -> list[Path]:
    """The wildcards of a folder, as many as a guess at a misspelt name needs."""
    return [path for path, _ in zip(folder.rglob(f"*{ENDING}"), range(1000), strict=False)]


def _from_store(folder: str) -> ReadWildcard:
    opened: list[Store] = []

    def read(name: str) -> tuple[str, bytes]:
        shown, key = f"{folder.rstrip('/')}/{name}{ENDING}", f"{name}{ENDING}"
        store = opened[0] if opened else open_store(folder)
        opened[:] = [store]
        info = store.head(key)
        try:
            if info is None:
                raise NotFoundError(shown)
            _refuse_large(shown, info.size_bytes)
            return shown, store.get(key)
        except NotFoundError:
            keys = zip(store.list(""), range(1000), strict=False)
            known = [str(PurePosixPath(one.key).with_suffix("")) for one, _ in keys if one.key.endswith(ENDING)]
            raise _missing(shown, name, known) from None

    return read


def _refuse_large(shown: str, size_bytes: int) -> None:
    """Refuse a file before it is read. Raises: TemplateError."""
    if size_bytes > MAX_WILDCARD_BYTES:
        raise TemplateError(f"{shown}: has more than {MAX_WILDCARD_BYTES:,} bytes; split it")


def _missing(shown: str, name: str, known: list[str]) -> TemplateError:
    """There is no such wildcard: the nearest, or how to say another folder."""
    hint = did_you_mean(name, known) or "; make it, or name another folder with wildcards: in the job file"
    return TemplateError(f"{shown}: there is no such file{hint}")
