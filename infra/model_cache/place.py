"""Where a node keeps model weights, and how much of them."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import ModelUnavailableError

CACHE_FOLDER: Final = "SPOTRENDER_MODEL_CACHE"
"""Names the folder; best on the node's own NVMe."""

CACHE_GIB: Final = "SPOTRENDER_MODEL_CACHE_GIB"
"""The most that the cache holds; else as much as the disk has."""

_LOCAL_NVME: Final = ("/opt/dlami/nvme",)
"""Where images of clouds mount the instance's own disks: AWS's Deep Learning AMIs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlace:
    """A folder, and the most that it may hold."""

    folder: Path
    limit_bytes: int | None = None
    """None: as much as the disk has."""


def cache_place(environ: Mapping[str, str]) -> CachePlace:
    """What the environment says; else the node's own NVMe where a cloud's image mounts it, else the user's cache.

    Raises:
        ModelUnavailableError: the limit is no number.
    """
    text = environ.get(CACHE_GIB, "")
    try:
        limit = int(float(text) * 2**30) if text else None
    except (ValueError, OverflowError):
        limit = -1
    if limit is not None and limit <= 0:
        raise ModelUnavailableError(f"{CACHE_GIB} must be a number above 0, got {text!r}")
    return CachePlace(folder=_folder(environ), limit_bytes=limit)


def _folder(environ: Mapping[str, str]) -> Path:
    """The folder, absolute."""
    if named := environ.get(CACHE_FOLDER, ""):
        return Path(named).expanduser().absolute()
    for disk in _LOCAL_NVME:
        if os.path.ismount(disk) and os.access(disk, os.W_OK):
            return Path(disk) / f"spotrender-models-{os.getuid()}"
    home = environ.get("XDG_CACHE_HOME") or environ.get("HOME", "")
    if not home:
        return Path(tempfile.gettempdir()) / f"spotrender-models-{os.getuid()}"
    return Path(home) / ("" if environ.get("XDG_CACHE_HOME") else ".cache") / "spotrender" / "models"
