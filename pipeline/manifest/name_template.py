"""File names that the user lays out: `{tag:campaign}/{custom_id}-{seed}.{ext}`, safe and distinct whatever rows hold.

What stands in braces is cleaned before it becomes part of a name, so no prompt, id or tag makes a folder or leaves one.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.manifest.names import must_be_told_apart, safe_stem, shared_names, told_apart

FIELDS = ("custom_id", "seed", "n", "row", "image_id", "prompt", "tag:NAME", "ext")
"""What may stand in braces."""

MAX_FOLDERS = 4

_MAX_FOLDER_BYTES = 100
_MAX_SLUG = 60
_MAX_TEMPLATE = 400
_PIECE = re.compile(r"\{([^{}]*)\}")
_FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f\x7f]')
_DIGITS = 6


class Nameable(Protocol):
    """What a name is made of."""

    @property
    def row(self) -> int:
        """0-based manifest row."""

    @property
    def index(self) -> int:
        """Which image of its row."""

    @property
    def custom_id(self) -> str | None:
        """As the manifest gives it."""

    @property
    def image_id(self) -> str:
        """64 hex digits."""

    @property
    def prompt(self) -> str:
        """Any text."""

    @property
    def seed(self) -> int:
        """Of the image."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Of its row."""


class NameTemplate:
    """A layout of names, such as `{custom_id}-{seed}.{ext}`.

    Args:
        text: with `FIELDS` in braces and `/` between folders; ends with `.{ext}`.

    Raises:
        ValueError: what is wrong with it, and what is right.
    """

    def __init__(self, text: str) -> None:
        if len(text) > _MAX_TEMPLATE:
            raise ValueError(f"must be no longer than {_MAX_TEMPLATE} characters")
        if not text.endswith(".{ext}"):
            raise ValueError("must end with .{ext}, such as {custom_id}-{seed}.{ext}")
        *folders, name = text.removesuffix(".{ext}").split("/")
        if len(folders) > MAX_FOLDERS:
            raise ValueError(f"must have at most {MAX_FOLDERS} folders")
        self._segments = [_pieces(segment) for segment in (*folders, name)]
        self.tags = tuple(field[4:] for pieces in self._segments for field, _ in pieces if field.startswith("tag:"))
        """Names of the tags that it asks for."""

    def stem(self, image: Nameable, *, digits: int = _DIGITS) -> str:
        """The way to the file without the ending; may be the same for two images."""
        *folders, name = ["".join(_value(piece, image, digits) for piece in pieces) for pieces in self._segments]
        return "/".join([*(_folder(folder) for folder in folders), safe_stem(name)])


class TemplateNames:
    """Gives each image of a job its name: distinct under any mix of case folding and Unicode normalisation.

    Args:
        template: the layout.
        images: all of the job, in order; 8 bytes of each are kept meanwhile.
        count: how many they are.
        extension: of the files, without the dot.
    """

    def __init__(self, template: NameTemplate, images: Iterable[Nameable], *, count: int, extension: str) -> None:
        self._template, self._extension = template, extension
        self._shared: NDArray[np.uint64] = shared_names(map(template.stem, images), count=count)

    def name(self, image: Nameable) -> str:
        """The way to the image's file, with `/` between folders; what would be shared ends with twelve digits."""
        stem = self._template.stem(image)
        if must_be_told_apart(stem, self._shared):
            whole = f"row {image.row}" if image.custom_id is None else f"id {image.custom_id}"
            stem = told_apart(stem, f"{whole} image {image.index}")
        return f"{stem}.{self._extension}"


def slug(text: str) -> str:
    """The words of a prompt with hyphens between them, at most 60 characters; empty when it has none."""
    words = re.sub(r"[\W_]+", "-", text[: 8 * _MAX_SLUG].lower()).strip("-")
    return words if len(words) <= _MAX_SLUG else words[: _MAX_SLUG + 1].rpartition("-")[0] or words[:_MAX_SLUG]


def _pieces(segment: str) -> list[tuple[str, str]]:
    """(field, "") or ("", plain text), in order. Raises: ValueError."""
    if not segment.strip() or segment.strip(" .") == "":
        raise ValueError("must have a name between two slashes, and neither begin with one nor hold . or ..")
    pieces: list[tuple[str, str]] = []
    for place, part in enumerate(_PIECE.split(segment)):
        if place % 2:
            pieces.append((_known(part), ""))
        elif "{" in part or "}" in part:
            raise ValueError("must have a closing brace for each opening one")
        elif _FORBIDDEN.search(part):
            raise ValueError(f"must not hold {_FORBIDDEN.search(part)[0]!r}")  # type: ignore[index]
        elif part:
            pieces.append(("", part))
    return pieces


def _known(field: str) -> str:
    """A field that there is. Raises: ValueError."""
    if field == "ext":
        raise ValueError("must hold {ext} once, at its end")
    if field not in FIELDS and not (field.startswith("tag:") and field[4:]):
        raise ValueError(f"must not hold {{{field[:40]}}}; there are {', '.join(f'{{{name}}}' for name in FIELDS)}")
    return field


def _value(piece: tuple[str, str], image: Nameable, digits: int) -> str:
    """What stands there for this image, without anything that parts folders."""
    field, plain = piece
    number = f"{image.row:0{digits}d}"
    if not field:
        return plain
    if field.startswith("tag:"):
        return image.tags.get(field[4:], "").replace("/", "_") or "none"
    if field == "custom_id":
        return number if image.custom_id is None else image.custom_id.replace("/", "_")
    if field == "prompt":
        return slug(image.prompt) or number
    return {"seed": str(image.seed), "n": str(image.index), "row": number, "image_id": image.image_id}[field]


def _folder(text: str) -> str:
    """A folder's name; one that ends like a picture's would stand in its way."""
    name = safe_stem(text, most_bytes=_MAX_FOLDER_BYTES)
    return f"{name}_" if name.lower().endswith((".png", ".webp", ".jpeg", ".jpg", ".csv", ".parquet")) else name
