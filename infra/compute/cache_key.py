"""The key with which this user's machines sign compiled code: whoever has it may run code on the user's workers.

A driver takes it from the environment, or from a file of the user that it makes at the first need, and hands it to its
workers as a secret.
"""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from infra.compute.spec import ComputeSpec
from pipeline.performance import frozen_levers

CACHE_SECRET = "SPOTRENDER_CACHE_SECRET"  # noqa: S105 - the name of a variable
"""The key as text of at least 32 characters; the same on all machines that are to share compiled code."""

_LEAST_CHARACTERS = 32


def compiles(spec: ComputeSpec) -> bool:
    """Whether any worker of a job may compile its model."""
    chosen = {frozen_levers(model.levers, model.options).compile for model in spec.models}
    return "on" in chosen or ("auto" in chosen and any(offer.gpu != "cpu" for offer in spec.offers))


def cache_key(environ: Mapping[str, str]) -> bytes:
    """The key; empty where there is none and none can be kept, so that no compiled code is shared.

    Args:
        environ: of this process.
    """
    text = environ.get(CACHE_SECRET, "")
    if not text:
        home = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        text = _kept(Path(home) / "spotrender" / "cache.key")
    return text.encode() if len(text) >= _LEAST_CHARACTERS else b""


def _kept(path: Path) -> str:
    """The text of a file that only this user can read, made if it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32))
        facts = path.stat()
        if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
            return ""
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
