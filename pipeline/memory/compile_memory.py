"""What was compiled and measured, kept in the store, so that the next worker of the same kind starts sooner.

Compiled code is code: torch loads what an artifact holds with pickle and runs it. Nobody but holders of the user's own
key can put an artifact here that is ever loaded: each begins with an HMAC-SHA256 over its name and content, checked
before torch sees a byte. Whoever may write to the store can therefore destroy artifacts, but not make workers run any.
The measured seconds beside them are plain numbers, which at worst decide badly whether to compile.
"""

import hashlib
import hmac
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from pipeline.errors import NotFoundError, SpotrenderError
from pipeline.layout import compiled_key
from pipeline.ports import Store
from pipeline.working.compile_decision import Experience

EXPERIENCE_SCHEMA = 1
"""Version of the JSON form; others are taken for nothing known."""

MOST_BYTES: Final = 256 << 20
"""Artifacts above this are neither kept nor read; those of a large model take some tens of MiB."""

_TAG_BYTES: Final = hashlib.sha256().digest_size
_LONGEST_SECONDS: Final = 86_400.0


class CompileMemory:
    """Of one worker; nothing here ever fails a job.

    Args:
        store: where it is kept.
        secret: gives the key of the user's own machines; an empty one: no compiled code is kept or loaded.
    """

    def __init__(self, store: Store, *, secret: Callable[[], bytes]) -> None:
        self._store, self._secret = store, secret
        self._known: dict[str, Experience] = {}
        self._cached: dict[str, bool] = {}

    def experience(self, key: str) -> Experience:
        """What was measured; read once."""
        if key not in self._known:
            self._known[key] = self._read(key)
        return self._known[key]

    def learn(self, key: str, experience: Experience) -> None:
        """Remember it here; `save` writes it."""
        self._known[key] = experience

    def has_code(self, key: str) -> bool:
        """Whether compiled code seems to be at hand; asked once."""
        if key not in self._cached:
            try:
                found = self._store.head(compiled_key(key, "bin")) if self._secret() else None
            except SpotrenderError:
                found = None
            self._cached[key] = found is not None and found.size_bytes <= MOST_BYTES
        return self._cached[key]

    def code(self, key: str) -> tuple[bytes, str]:
        """The artifact, empty where there is none to be trusted; and what is wrong with it, empty where nothing is."""
        if not self.has_code(key):
            return b"", ""
        self._cached[key] = False
        try:
            body = self._store.get(compiled_key(key, "bin"))
        except NotFoundError:
            return b"", ""
        except SpotrenderError as error:
            return b"", str(error)
        tag, artifact = body[:_TAG_BYTES], body[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(key, artifact)):
            return b"", "it is damaged, or was not made with the key of this user; it is compiled anew"
        self._cached[key] = True
        return artifact, ""

    def save(self, key: str, artifact: bytes) -> None:
        """Write what was learned, and compiled code unless it is empty; a store that does not take it is no matter."""
        try:
            if artifact and self._secret() and len(artifact) < MOST_BYTES:
                self._store.put(compiled_key(key, "bin"), self._tag(key, artifact) + artifact)
            values = {"schema": EXPERIENCE_SCHEMA} | asdict(self.experience(key))
            self._store.put(compiled_key(key, "json"), json.dumps(values, indent=1).encode())
        except SpotrenderError:
            return

    def _tag(self, key: str, artifact: bytes) -> bytes:
        return hmac.digest(self._secret(), key.encode() + b"\0" + artifact, "sha256")

    def _read(self, key: str) -> Experience:
        try:
            values: dict[str, Any] = json.loads(self._store.get(compiled_key(key, "json")))
            if values.pop("schema") != EXPERIENCE_SCHEMA:
                return Experience()
            numbers = {name: _seconds(values.get(name)) for name in Experience.__slots__}
        except (SpotrenderError, ValueError, KeyError, TypeError, AttributeError):
            return Experience()
        return Experience(**numbers)


def _seconds(value: Any) -> float | None:
    """A time that can be true; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 < value < _LONGEST_SECONDS else None
