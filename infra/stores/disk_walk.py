"""Listing a folder tree in the byte order of its keys, lazily, a folder at a time."""

import os
from collections.abc import Iterator
from contextlib import suppress
from stat import S_ISREG


def walk(root: bytes, prefix: bytes, after: bytes, *, hidden: bytes) -> Iterator[tuple[str, os.stat_result]]:
    """Keys (relative paths) of the regular files under `root` and what is known of them.

    Yields those that start with `prefix` and are greater than `after`, in byte order of the whole key; a file that
    vanishes on the way is left out. Memory is that of one folder's names per level.

    Args:
        root: absolute path.
        prefix: what keys start with; may end within a name.
        after: keys up to and including this one are left out; empty for none.
        hidden: name of a folder directly in `root` that holds no objects.
    """
    folder = prefix[: prefix.rfind(b"/") + 1]
    yield from _walk(root, folder, prefix, after, hidden)


def folders(root: bytes, prefix: bytes, *, hidden: bytes) -> Iterator[str]:
    """Names of the folders in `root/prefix` that hold a file at any depth, each with a trailing `/`, in byte order."""
    try:
        with os.scandir(os.path.join(root, prefix)) as entries:
            found = sorted(entry.name + b"/" for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in found:
        key = prefix + name
        if key != hidden + b"/" and _holds_file(os.path.join(root, key)):
            with suppress(UnicodeDecodeError):
                yield name.decode()


def _holds_file(path: bytes) -> bool:
    """Whether there is a regular file anywhere below `path`; stops at the first one."""
    inner = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_file():
                    return True
                if entry.is_dir():
                    inner.append(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return any(_holds_file(folder) for folder in inner)


def _walk(
    root: bytes, folder: bytes, prefix: bytes, after: bytes, hidden: bytes
) -> Iterator[tuple[str, os.stat_result]]:
    """The part of `walk` below `folder`, a key that is empty or ends with `/`."""
    for key, entry in _entries(root, folder, prefix, after):
        if key.endswith(b"/"):
            if key != hidden + b"/":
                yield from _walk(root, key, prefix, after, hidden)
            continue
        try:
            found = entry.stat()
            name = key.decode()
        except (FileNotFoundError, UnicodeDecodeError):
            continue
        if S_ISREG(found.st_mode):
            yield name, found


def _entries(root: bytes, folder: bytes, prefix: bytes, after: bytes) -> list[tuple[bytes, os.DirEntry[bytes]]]:
    """The entries of one folder that matter, by key; a folder's key ends with `/`, which is what its keys sort by."""
    found = []
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                if entry.is_dir():
                    key = folder + entry.name + b"/"
                    wanted = key.startswith(prefix) or prefix.startswith(key)
                    passed = key <= after and not after.startswith(key)
                else:
                    key = folder + entry.name
                    wanted, passed = key.startswith(prefix), key <= after
                if wanted and not passed:
                    found.append((key, entry))
    except (FileNotFoundError, NotADirectoryError):
        return []
    found.sort(key=lambda item: item[0])
    return found
