"""Copies a model into the store: each file under the hash of its content, then a manifest that names them."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.profiles import read_profile
from jobs.wiring import plain_options
from pipeline.errors import AlreadyExistsError, ModelError, NotFoundError, UserError
from pipeline.ports import Store
from pipeline.pushed_models import folder_name, list_weights, read_weights
from pipeline.weights import GRACE_SECONDS, PART_BYTES, WeightFile, Weights, manifest_key, slug, to_json

if TYPE_CHECKING:
    from pipeline.renderers.diffusion.gathering import Gathered

FILES_AT_ONCE = 4
"""Files fetched, hashed and uploaded at the same time; a large one is uploaded in several parts at once itself."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What is in the store now."""

    name: str
    revision: str
    variant: str
    manifest: str
    """Key in the store."""
    files: int
    bytes: int
    """Of all files."""
    uploaded: int
    """Files that were not there yet."""
    uploaded_bytes: int


def push(
    store: Store,
    model: str,
    *,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Pushed:
    """Copy a model into the store, as far as it is not there; interrupted, the same call goes on.

    Args:
        store: where to.
        model: a profile's name, a hub repository or a folder.
        name: what a folder is called in the store; its own name, or the profile's, when not given.
        options: for the renderer, over the profile's: `revision`, `variant`, `allow_pickle`, `allow_remote_code`.
        on_progress: told (bytes done, bytes in all or None when unknown).
        now: the present.

    Raises:
        ModelError: no such model, unsafe, or it changed meanwhile.
    """
    from pipeline.renderers.diffusion.gathering import gather

    profile = read_profile(model)
    if profile is not None and profile.renderer != "diffusers":
        raise ModelError(f"{model}: has no weights to push")
    source = profile.source if profile else model
    chosen = plain_options((profile.options if profile else {}) | dict(options or {}))
    gathered = gather(source, chosen)
    if gathered.revision and name:
        raise ModelError(f"{model}: a hub repository keeps its own name; leave --name out")
    called = gathered.source if gathered.revision else name or folder_name(source, profile=model if profile else "")
    slug(called)
    uploads = _Uploads(store, now=now, on_progress=on_progress)
    known = _known(store, called, gathered)
    if known is not None and not uploads.missing(known):
        return _pushed(known, uploads)
    uploads.safe = {file.key for weights in list_weights(store) for file in weights.files}
    with ThreadPoolExecutor(FILES_AT_ONCE) as executor:
        files = tuple(executor.map(lambda one: uploads.bring(one, gathered.fetch(one)), gathered.names))
    weights = Weights(
        name=called,
        source=gathered.source,
        revision=gathered.revision,
        asked=gathered.asked,
        variant=gathered.variant,
        pickled=gathered.pickled,
        code=gathered.code,
        pushed_at=now().isoformat(),
        files=files,
    )
    if not weights.revision:
        weights = _of_folder(weights)
    weights = _name_them(store, weights)
    for file in uploads.missing(weights):  # a clean-up came between
        uploads.bring(file.name, gathered.fetch(file.name))
    return _pushed(weights, uploads)


def _of_folder(weights: Weights) -> Weights:
    """The manifest of a folder, whose revision is the hash of its content."""
    return replace(weights, revision=f"sha256:{weights.content}")


def _known(store: Store, called: str, gathered: "Gathered") -> Weights | None:
    """The manifest of this revision, where it is there; of a folder only its content tells the revision."""
    if not gathered.revision:
        return None
    try:
        key = manifest_key(called, gathered.revision, variant=gathered.variant, code=gathered.code)
        return read_weights(store, key)
    except NotFoundError:
        return None


def _name_them(store: Store, weights: Weights) -> Weights:
    """Put the manifest, or find it there. Raises: ModelError: one is there that names other files."""
    try:
        store.put(weights.key, to_json(weights), mode="create")
    except AlreadyExistsError:
        there = read_weights(store, weights.key)
        if there.content != weights.content:
            raise ModelError(
                f"{store.uri}/{weights.key}: names other files of the same revision; take it out with "
                f"`spotrender models rm {weights.name}`, and push again"
            ) from None
        return there
    return weights


class _Uploads:
    """Brings files into the store, several at a time, and counts them."""

    def __init__(
        self, store: Store, *, now: Callable[[], datetime], on_progress: Callable[[int, int | None], None] | None
    ) -> None:
        self._store, self._now, self._on_progress = store, now, on_progress
        self._lock = threading.Lock()
        self._done = 0
        self.files = self.bytes = 0
        self.safe: set[str] = set()
        """Objects that some manifest names, so that no clean-up takes them."""

    def missing(self, weights: Weights) -> list[WeightFile]:
        """The files of a manifest that are not in the store."""
        with ThreadPoolExecutor(FILES_AT_ONCE * 4) as executor:
            found = executor.map(lambda file: self._store.head(file.key), weights.files)
        return [file for file, there in zip(weights.files, found, strict=True) if there is None]

    def bring(self, name: str, path: Path) -> WeightFile:
        """One file, uploaded unless it is there. Raises: ModelError: it cannot be read, or changes meanwhile."""
        try:
            before = _stamp(path)
            file = _hashed(name, path)
            if not self._there(file):
                self._store.upload(file.key, str(path))
                if _stamp(path) != before:
                    self._store.delete(file.key)
                    raise ModelError(f"{path}: changed while it was pushed; push the model again")
                with self._lock:
                    self.files, self.bytes = self.files + 1, self.bytes + file.bytes
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); mend its permissions") from error
        with self._lock:
            self._done += file.bytes
            if self._on_progress is not None:
                self._on_progress(self._done, None)
        return file

    def _there(self, file: WeightFile) -> bool:
        """Whether the store has it, and clean-up will not take it before a manifest names it."""
        found = self._store.head(file.key)
        if found is None or found.size_bytes != file.bytes:
            return False
        age_seconds = (self._now() - found.modified_at).total_seconds()
        return file.key in self.safe or age_seconds < GRACE_SECONDS / 2


def _hashed(name: str, path: Path) -> WeightFile:
    """What a file is: one pass over it."""
    whole, parts, size = hashlib.sha256(), list[str](), 0
    with path.open("rb") as stream:
        while first := stream.read(_BLOCK):
            part, left, block = hashlib.sha256(), PART_BYTES, first
            while block:
                part.update(block)
                whole.update(block)
                size, left = size + len(block), left - len(block)
                block = stream.read(min(_BLOCK, left))
            parts.append(part.hexdigest())
    return WeightFile(name=name, bytes=size, sha256=whole.hexdigest(), parts=tuple(parts))


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written to."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _pushed(weights: Weights, uploads: _Uploads) -> Pushed:
    return Pushed(
        name=weights.name,
        revision=weights.revision,
        variant=weights.variant,
        manifest=weights.key,
        files=len(weights.files),
        bytes=weights.bytes,
        uploaded=uploads.files,
        uploaded_bytes=uploads.bytes,
    )


def take_out(store: Store, model: str, *, revision: str | None = None) -> list[Weights]:
    """Remove the manifests of a model; its files go with the next clean-up, unless another model has them.

    Args:
        store: which.
        model: a profile's name, or one that `models list` shows.
        revision: the beginning of the commit or hash; None: all revisions.

    Raises:
        UserError: the store has no such model.
    """
    profile = read_profile(model)
    names = {model, profile.source} if profile else {model}
    everything = list(list_weights(store))
    found = [one for one in everything if one.name in names]
    if revision is not None:
        found = [one for one in found if one.revision.split("@")[-1].removeprefix("sha256:").startswith(revision)]
    if not found:
        there = ", ".join(sorted({one.name for one in everything})) or "none"
        raise UserError(f"{store.uri} holds no model {model!r} of that revision; it holds {there}")
    for one in found:
        store.delete(one.key)
    return found
