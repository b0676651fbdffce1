"""File names for delivery: the user's own custom ids, made safe on every system and told apart where systems would not.

A name follows from the whole job, never from the part of it that is downloaded.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

MAX_NAME_BYTES = 200
"""UTF-8 bytes of a delivered name, the extension included; file systems take 255."""

_MAX_STEM_BYTES = 150
_UNSAFE = re.compile(r'[<>:"/\\|?*]')
SUFFIX = re.compile(r"~[0-9a-f]{12}$")
"""What a stem ends with that had to be told apart; one that ends so by itself is told apart too."""

_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9]|lpt[0-9])", re.IGNORECASE)


def delivery_names(
    custom_ids: Iterable[str | None], *, rows: int, images_per_row: int, extension: str
) -> "DeliveryNames":
    """The names of a job's images; reads all custom ids once, and keeps 8 bytes of each while it does.

    Args:
        custom_ids: of all manifest rows of the job, in order; None where a row has none.
        rows: how many they are.
        images_per_row: images of each row.
        extension: of the files, without the dot.
    """
    digits = max(6, len(str(max(rows - 1, 0))))
    stems = (_stem(custom_id, row, digits) for row, custom_id in enumerate(custom_ids))
    return DeliveryNames(
        shared=shared_names(stems, count=rows), digits=digits, images_per_row=images_per_row, extension=extension
    )


def custom_ids_of(files: Sequence[Path]) -> Iterator[str | None]:
    """The custom ids of all manifest rows of a job, in order, from its requests files."""
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(columns=["index", "custom_id"]):
            pairs = zip(batch["index"].to_pylist(), batch["custom_id"].to_pylist(), strict=True)
            yield from (custom_id for index, custom_id in pairs if index == 0)


def shared_names(stems: Iterable[str], *, count: int) -> NDArray[np.uint64]:
    """The hashes, sorted, of what some file system would take for each other; holds 8 bytes of each stem."""
    keys = np.fromiter((name_hash(folded(stem)) for stem in stems), np.uint64, count=count)
    keys.sort()
    return np.unique(keys[1:][keys[1:] == keys[:-1]])


def must_be_told_apart(stem: str, shared: NDArray[np.uint64]) -> bool:
    """Whether a stem is one of the shared ones, or looks like one that was told apart."""
    key = folded(stem)
    number = np.uint64(name_hash(key))
    place = int(np.searchsorted(shared, number))
    return (place < len(shared) and bool(shared[place] == number)) or SUFFIX.search(key) is not None


def told_apart(stem: str, whole: str) -> str:
    """The stem with twelve digits that follow from what it stands for."""
    return f"{stem}~{hashlib.sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


class DeliveryNames:
    """Gives each image of a job its file name: distinct under any mix of case folding and Unicode normalisation."""

    def __init__(self, *, shared: NDArray[np.uint64], digits: int, images_per_row: int, extension: str) -> None:
        self._shared = shared
        self._digits = digits
        self._several = images_per_row > 1
        self._extension = extension

    def name(self, *, row: int, custom_id: str | None, index: int) -> str:
        """`{custom_id}.{extension}`, with `-{index}` when rows have several images; no folder in it.

        Args:
            row: 0-based manifest row; it names an image whose row has no custom id.
            custom_id: as the manifest gives it.
            index: which image of its row, from 0.
        """
        stem = _stem(custom_id, row, self._digits)
        if must_be_told_apart(stem, self._shared):
            stem = told_apart(stem, f"row {row}" if custom_id is None else f"id {custom_id}")
        number = f"-{index}" if self._several else ""
        return f"{stem}{number}.{self._extension}"


def _stem(custom_id: str | None, row: int, digits: int) -> str:
    """What a custom id looks like as a file name on Linux, macOS and Windows; may be the same for two of them."""
    return f"{row:0{digits}d}" if custom_id is None else safe_stem(custom_id)


def safe_stem(words: str, *, most_bytes: int = _MAX_STEM_BYTES) -> str:
    """Any words as one name of a file or folder that every system takes; never empty, never a way out of a folder."""
    text = unicodedata.normalize("NFC", words.encode("utf-8", "replace").decode("utf-8"))
    text = "".join(char if char.isprintable() else "_" for char in _UNSAFE.sub("_", text))
    text = _cut(text, most_bytes).strip(" ").rstrip(". ")
    if text.startswith((".", "-", "~")):  # a hidden file, an option, a home folder
        text = "_" + text[1:]
    device = unicodedata.normalize("NFKC", text.partition(".")[0]).strip(" ")
    return "_" + text if not text or _DEVICES.fullmatch(device) else text


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, no character halved."""
    return text.encode()[:limit].decode("utf-8", "ignore")


def folded(stem: str) -> str:
    """The same for all stems that some file system takes for one: without case, compatibility forms, composition."""
    if stem.isascii():
        return stem.lower()
    text = stem
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text).upper().casefold()
    return unicodedata.normalize("NFKD", text)


def name_hash(key: str) -> int:
    """8 bytes that are the same in every process."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
