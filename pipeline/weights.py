"""A model whose files lie in the store: a create-only manifest names them, each by the hash of its content."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pipeline.errors import ModelError
from pipeline.layout import MODEL_BLOBS, model_blob_key, model_manifest_key

MANIFEST_SCHEMA: Final = 1

PART_BYTES: Final = 16 << 20
"""Files are hashed, and fetched, in parts of this size."""

GRACE_SECONDS: Final = 86_400
"""A file that no manifest names may belong to a push that has not ended; a push relies on no older one."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"hub:[\w.-]+/[\w.-]+@[0-9a-f]{40}|sha256:[0-9a-f]{64}")
_PICKLED: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_UNFIT = re.compile(r"[^a-z0-9._-]+")
_MOST_FILES: Final = 2_000
_MOST_BYTES: Final = 1 << 43
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """One file of a model."""

    name: str
    """Inside the model's folder, with `/`."""
    bytes: int
    sha256: str
    """Of the content; names the object."""
    parts: tuple[str, ...]
    """sha256 of each `PART_BYTES` of it, the last one shorter; none for an empty file."""

    @property
    def key(self) -> str:
        """Its object in the store."""
        return model_blob_key(self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The manifest of one revision of a model."""

    name: str
    """As it was pushed: a profile's name, a hub repository, or a name of the user's."""
    source: str
    """Where it came from: a hub repository, or a folder's name."""
    revision: str
    """What a job freezes: `hub:<repo>@<commit>`, or `sha256:<hash over weights and configs>`."""
    asked: str
    """Branch, tag or commit that was asked for; empty for a folder."""
    variant: str
    """Which set of weights, such as `fp16`; empty for the plain ones."""
    pickled: bool
    """Some weights are pickled, which was allowed at the push and must be in the job."""
    code: bool
    """It brings Python code; the same."""
    pushed_at: str
    """ISO instant, UTC."""
    files: tuple[WeightFile, ...]
    """Sorted by name."""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def content(self) -> str:
        """The hash over names and contents, 64 hex digits; what a folder's revision says after `sha256:`."""
        total = hashlib.sha256()
        for file in sorted(self.files, key=lambda one: one.name):
            total.update(f"{file.name}\0{file.sha256}\n".encode())
        return total.hexdigest()

    @property
    def key(self) -> str:
        """Its object in the store."""
        return manifest_key(self.name, self.revision, variant=self.variant, code=self.code)

    @property
    def frozen(self) -> dict[str, str]:
        """What a job keeps of it, see `Model.weights`."""
        return {"manifest": self.key, "content": self.content}


def slug(name: str) -> str:
    """A model's name as a folder of the store: `org/name` becomes `org--name`.

    Raises:
        ModelError: nothing is left of it, or the store keeps the name for itself.
    """
    text = _UNFIT.sub("-", name.lower().replace("/", "--")).strip("-.")[:_LONGEST_NAME]
    if not text or text == "blobs":
        raise ModelError(f"{name!r} cannot be a model's name in the store; give another one with --name")
    return text


def manifest_key(name: str, revision: str, *, variant: str = "", code: bool = False) -> str:
    """Where the manifest of a revision lies: its commit or hash, and what else says which files are in it."""
    last = re.split("[:@]", revision)[-1]
    rest = [_UNFIT.sub("-", variant.lower())] if variant and revision.startswith("hub:") else []
    return model_manifest_key(slug(name), "-".join([last, *rest, *(["code"] if code else [])]))


def to_json(weights: Weights) -> bytes:
    """The manifest as it lies in the store."""
    values = {"schema": MANIFEST_SCHEMA, "content": weights.content} | asdict(weights)
    return json.dumps(values, indent=1, sort_keys=True).encode()


def from_json(body: bytes, *, place: str) -> Weights:
    """Read a manifest, which anybody who can write to the store may have written.

    Args:
        body: as it lies in the store.
        place: its key, for messages.

    Raises:
        ModelError: it is none, of another schema, or names files that must not be written.
    """
    try:
        values = json.loads(body)
        if not isinstance(values, dict) or values.pop("schema", None) != MANIFEST_SCHEMA:
            raise _refused(place, f"this version reads schema {MANIFEST_SCHEMA}")
        content = values.pop("content")
        files = tuple(_file(place, entry) for entry in values.pop("files"))
        weights = Weights(files=files, **values)
        _check_types(place, weights)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _refused(place, f"it cannot be read ({type(error).__name__})") from error
    names = [file.name.casefold() for file in files]
    if not files or len(files) > _MOST_FILES or len(set(names)) < len(names):
        raise _refused(place, "it names no files, too many, or one twice")
    folders = {parent for name in names for parent in _parents(name)}
    if folders & set(names):
        raise _refused(place, "it names a file and a folder alike")
    if weights.content != content or not _REVISION.fullmatch(weights.revision):
        raise _refused(place, "its files are not those that it was written for")
    if weights.revision.startswith("sha256:") and weights.revision != f"sha256:{content}":
        raise _refused(place, "its files are not those of its revision")
    return weights


def unnamed_blobs(blobs: Iterable[str], manifests: Iterable[Weights]) -> list[str]:
    """Keys of `models/blobs/` that no manifest names, so that clean-up may remove those that are old enough.

    A blob younger than `GRACE_SECONDS` may belong to a push that has not written its manifest yet.

    Args:
        blobs: keys as the store lists them under `models/blobs/`.
        manifests: all that the store has; one that cannot be read must end the clean-up, not be left out.
    """
    named = {file.key for weights in manifests for file in weights.files}
    return [key for key in blobs if key.startswith(MODEL_BLOBS) and key not in named]


def part_size(file: WeightFile, number: int) -> int:
    """Bytes of a part, counted from 0."""
    return min(PART_BYTES, file.bytes - number * PART_BYTES)


def unsafe_problem(weights: Weights, options: Mapping[str, str]) -> str | None:
    """What a model brings that the job does not allow, with the remedy, or None.

    Args:
        weights: from the store.
        options: of the frozen model.
    """
    for flag, there, what in (
        ("allow_pickle", weights.pickled, "holds pickled weights, which can run code when they are read"),
        ("allow_remote_code", weights.code, "brings Python code of its own"),
    ):
        if there and options.get(flag) != "true":
            return f"{weights.name}: what was pushed {what}; set the model option {flag}: true if you trust its author"
    return None


def _file(place: str, entry: Any) -> WeightFile:
    """One file of a manifest. Raises: ModelError: it must not be written."""
    file = WeightFile(**(entry | {"parts": tuple(entry["parts"])}))
    name: str = file.name
    size: Any = file.bytes
    parts = name.split("/")
    if (
        not name.isprintable()
        or "\\" in name
        or len(name) > _LONGEST_NAME
        or any(part in {"", ".", ".."} or part.startswith(".") for part in parts)
    ):
        raise _refused(place, f"it names a file {name[:80]!r}, which is no path inside of a model's folder")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MOST_BYTES:
        raise _refused(place, f"{name} has no size")
    if not all(_SHA256.fullmatch(text) for text in (file.sha256, *file.parts)):
        raise _refused(place, f"{name} has a hash that is none")
    if len(file.parts) != -(-size // PART_BYTES):
        raise _refused(place, f"{name} has another number of parts than its size says")
    return file


def _check_types(place: str, weights: Weights) -> None:
    """Raises: ModelError: a field holds something else than it should."""
    texts: tuple[Any, ...] = (
        weights.name,
        weights.source,
        weights.revision,
        weights.asked,
        weights.variant,
        weights.pushed_at,
    )
    if not all(isinstance(text, str) and text.isprintable() and len(text) <= 500 for text in texts):
        raise _refused(place, "a text of it is none")
    kinds: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
        ("pickled weights", weights.pickled, _PICKLED),
        ("Python code", weights.code, (".py",)),
    )
    for what, flag, suffixes in kinds:
        if not isinstance(flag, bool) or (not flag and any(one.name.endswith(suffixes) for one in weights.files)):
            raise _refused(place, f"it holds {what} and does not say so")


def _parents(name: str) -> Sequence[str]:
    """The folders that a file lies in."""
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _refused(place: str, why: str) -> ModelError:
    return ModelError(f"{place}: {why}; push the model again (spotrender models push)")
