"""What comes twice in a manifest, found in a few bytes a row: custom ids (an error) and images (rendered once)."""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.manifest.problems import SHOWN, Problems, shown

_BESIDE = 10_000
"""Custom ids kept of rows that are not in the table."""

_CANDIDATES = 50 * SHOWN


class CustomIds:
    """The custom ids of a manifest as 8-byte hashes; exact strings are read back only for hashes that come twice."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._beside: list[tuple[int, str]] = []

    def add(self, custom_id: str) -> None:
        """Take the next row's id."""
        self._hashes.append(hash(custom_id))

    def keep(self, line: int, custom_id: str) -> None:
        """Keep the id of a row that has a problem, and so is not in the table; the first few thousand are."""
        if len(self._beside) < _BESIDE:
            self._beside.append((line, custom_id))

    def report(self, files: Sequence[Path], problems: Problems) -> None:
        """Report every id that comes twice: the first ones with both lines, the others in the count."""
        candidates, repeats = self._candidates()
        if not repeats:
            return
        found = [*self._matches(self._beside, candidates)]
        for file in files:
            found.extend(self._matches(_lines_and_ids(file), candidates))
        lines: dict[str, int] = {}
        named = 0
        for line, custom_id in sorted(found):
            first = lines.setdefault(custom_id, line)
            if first != line:
                named += 1
                problems.add(
                    line,
                    f"custom_id {shown(custom_id)} was given at {problems.unit or 'line '}{first} already; "
                    "every row needs its own",
                )
        if repeats > _CANDIDATES:
            problems.count_more(max(0, repeats - named))

    def _candidates(self) -> tuple[frozenset[int], int]:
        """The hashes of the first ids that seem to come again, and how many seem to in all."""
        hashes = np.frombuffer(self._hashes, dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        again = np.sort(order[1:][hashes[order[1:]] == hashes[order[:-1]]])
        return frozenset(hashes[again[:_CANDIDATES]].tolist()), len(again)

    @staticmethod
    def _matches(pairs: Sequence[tuple[int, str]], hashes: frozenset[int]) -> Iterator[tuple[int, str]]:
        return (pair for pair in pairs if hash(pair[1]) in hashes)


def _lines_and_ids(file: Path) -> list[tuple[int, str]]:
    """Line and custom id of every row of one file, where it has one."""
    table = pq.read_table(file, columns=["line", "index", "custom_id"])
    pairs = zip(table["line"].to_pylist(), table["index"].to_pylist(), table["custom_id"].to_pylist(), strict=True)
    return [(line, custom_id) for line, index, custom_id in pairs if index == 0 and custom_id is not None]


class ImageIds:
    """The ids of all images, 16 bytes of each, to count those that are distinct."""

    def __init__(self) -> None:
        self._words: list[NDArray[np.uint64]] = []

    def add(self, words: NDArray[np.uint64]) -> None:
        """Take the next ids as two words each: n x 2."""
        self._words.append(words)

    def distinct(self) -> int:
        """How many differ."""
        if not self._words:
            return 0
        high = np.concatenate([words[:, 0] for words in self._words])
        high.sort()
        again = np.unique(high[1:][high[1:] == high[:-1]])
        if len(again) == 0:
            return len(high)
        among = np.concatenate([words[np.isin(words[:, 0], again)] for words in self._words])
        return len(high) - len(among) + len(np.unique(among, axis=0))
