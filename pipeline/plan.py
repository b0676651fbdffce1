"""The plan: all distinct images of a job in the order of rendering, cut into tasks.

Breadth-first over seeds (image 0 of every row, then image 1), so that a job stopped at any time leaves an even
result; requests of a task share one variant. The plan follows from the frozen job alone, so every driver of a job
makes the same tasks. It holds some 40 bytes an image; tasks are made when asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.job import TaskSizes
from pipeline.request_table import RequestTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """An idempotent batch of requests of one variant: the unit of scheduling and of retry."""

    number: int
    """Place in the plan, from 0."""
    places: range
    """Its images as places in the plan's order."""
    variant: int

    @property
    def id(self) -> str:
        """`t` and seven digits."""
        return task_id(self.number)


def task_id(number: int) -> str:
    """Name of the n-th task of a plan."""
    return f"t{number:07d}"


def task_number(task: str) -> int:
    """The number in a task's name. Raises: ValueError: no task id."""
    return int(task.removeprefix("t"))


class Plan(Sequence[Task]):
    """The tasks of a job.

    Attributes:
        positions: rows of the requests files in the order of rendering; each distinct image once.
        words: first 128 bits of their image ids, in the same order: n x 2.
    """

    def __init__(self, table: RequestTable, sizes: TaskSizes) -> None:
        words = np.empty((len(table), 2), dtype=np.uint64)
        variants = np.empty(len(table), dtype=np.int32)
        indexes = np.empty(len(table), dtype=np.int32)
        at = 0
        for some_words, some_variants, some_indexes in table.columns():
            here = slice(at, at + len(some_words))
            words[here], variants[here], indexes[here] = some_words, some_variants, some_indexes
            at += len(some_words)
        first = _first_of_each(words)
        order = np.lexsort((first, variants[first], indexes[first]))
        self.positions: NDArray[np.int64] = first[order]
        self.words: NDArray[np.uint64] = words[self.positions]
        self.sizes = sizes
        chosen = variants[self.positions]
        self._variants = chosen
        self._starts = _cut(chosen, indexes[self.positions], sizes)
        self._by_word = np.lexsort((self.words[:, 1], self.words[:, 0]))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> Task:  # type: ignore[override]
        if not 0 <= number < len(self):
            raise IndexError(number)
        start, end = int(self._starts[number]), int(self._starts[number + 1])
        return Task(number=number, places=range(start, end), variant=int(self._variants[start]))

    @property
    def images(self) -> int:
        """Distinct images."""
        return len(self.positions)

    @property
    def task_variants(self) -> NDArray[np.int32]:
        """The variant of each task."""
        return self._variants[self._starts[:-1]]

    @property
    def buckets(self) -> int:
        """Ledger buckets."""
        return -(-len(self) // self.sizes.tasks_per_bucket)

    def bucket_of(self, task: int) -> int:
        """The ledger bucket of a task."""
        return task // self.sizes.tasks_per_bucket

    def tasks_of(self, bucket: int) -> range:
        """The tasks of a ledger bucket."""
        start = bucket * self.sizes.tasks_per_bucket
        return range(start, min(start + self.sizes.tasks_per_bucket, len(self)))

    def task_at(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Task numbers of places in the plan."""
        found: NDArray[np.int64] = np.searchsorted(self._starts, places, side="right") - 1
        return found

    def variants_at(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """Variants of places in the plan."""
        return self._variants[places]

    def find(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Places of images by the first 128 bits of their ids; -1 for one that is not of this job."""
        if len(words) == 0 or self.images == 0:
            return np.full(len(words), -1, dtype=np.int64)
        high = self.words[:, 0][self._by_word]
        left = np.searchsorted(high, words[:, 0], side="left")
        places = np.full(len(words), -1, dtype=np.int64)
        pending = np.arange(len(words))
        while len(pending):  # ids that share 64 bits stand side by side; next to never more than one
            pending = pending[left[pending] < self.images]
            candidate = self._by_word[left[pending]]
            same_high = self.words[candidate, 0] == words[pending, 0]
            hit = same_high & (self.words[candidate, 1] == words[pending, 1])
            places[pending[hit]] = candidate[hit]
            pending = pending[same_high & ~hit]
            left[pending] += 1
        return places


def _first_of_each(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Row numbers of the first row of each distinct id, ascending."""
    if len(words) == 0:
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((words[:, 1], words[:, 0]))
    ordered = words[order]
    new = np.ones(len(words), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return np.sort(order[new])


def _cut(variants: NDArray[np.int32], indexes: NDArray[np.int32], sizes: TaskSizes) -> NDArray[np.int64]:
    """Where tasks start, and at last the number of images; no task spans two variants or two indexes."""
    total = len(variants)
    if total == 0:
        return np.zeros(1, dtype=np.int64)
    changes = np.flatnonzero((np.diff(variants) != 0) | (np.diff(indexes) != 0)) + 1
    starts: list[int] = []
    segment_starts = [0, *changes.tolist()]
    for start, end in zip(segment_starts, [*segment_starts[1:], total], strict=True):
        at = start
        while at < end:
            starts.append(at)
            at = min(at + _size(total - at, sizes), end)
    return np.asarray([*starts, total], dtype=np.int64)


def _size(left: int, sizes: TaskSizes) -> int:
    """Images of the next task when this many are left: large first, down to one batch at the end."""
    fair = left // sizes.tail_share // sizes.batch * sizes.batch
    return max(sizes.batch, min(fair, sizes.largest))
