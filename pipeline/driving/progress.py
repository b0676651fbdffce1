"""How far a job is: one state for each image, counts, and the pace."""

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipeline.ledger.checkpoint import FAILED, MISSING, RENDERED, REUSED
from pipeline.plan import Plan
from pipeline.record import Outcome

_CODES = {Outcome.RENDERED: RENDERED, Outcome.REUSED: REUSED, Outcome.FAILED: FAILED}
_WINDOW_NS = 60_000_000_000


class Progress:
    """Counts over the images of a plan; the work per image is constant."""

    def __init__(self, plan: Plan, state: NDArray[np.uint8]) -> None:
        self._plan = plan
        self._state = state
        self.counts = np.bincount(state, minlength=4).tolist()
        self.counts_before = tuple(self.counts)
        """As they were when this driver began."""
        self.rendered_now = 0
        self._recent: deque[tuple[int, int]] = deque()
        self._recently_rendered = 0
        owner = plan.task_at(np.flatnonzero(state == MISSING))
        self._missing_of_task = np.bincount(owner, minlength=len(plan)).astype(np.int64)
        buckets = owner // plan.sizes.tasks_per_bucket
        self._missing_of_bucket = np.bincount(buckets, minlength=plan.buckets).astype(np.int64)

    @property
    def missing(self) -> int:
        """Images that are neither there nor given up."""
        return int(self.counts[MISSING])

    def missing_of_task(self, task: int) -> int:
        """Images of a task that are neither there nor given up."""
        return int(self._missing_of_task[task])

    def missing_of_tasks(self, mask: NDArray[np.bool_]) -> int:
        """The same of all tasks that are true in `mask`, which has a place for each."""
        return int(self._missing_of_task[mask].sum())

    def missing_of_bucket(self, bucket: int) -> int:
        """Images of a bucket that are neither there nor given up."""
        return int(self._missing_of_bucket[bucket])

    def missing_places(self, task: int) -> list[int]:
        """Which images of a task are missing, as places in the plan."""
        return [place for place in self._plan[task].places if self._state[place] == MISSING]

    def unfinished_tasks(self) -> list[int]:
        """Tasks with missing images, in plan order."""
        return [int(task) for task in np.flatnonzero(self._missing_of_task)]

    def missing_mask(self) -> NDArray[np.bool_]:
        """For each image of the plan whether it is missing."""
        mask: NDArray[np.bool_] = self._state == MISSING
        return mask

    def enter(self, task: int, results: Iterable[tuple[int, Outcome]], now_ns: int) -> int:
        """Take results in; gives how many images are new. A failure never undoes an image that is there."""
        new = rendered = 0
        for place, outcome in results:
            before, code = int(self._state[place]), _CODES[outcome]
            if before == code or before in {RENDERED, REUSED}:
                continue
            self._state[place] = code
            self.counts[before] -= 1
            self.counts[code] += 1
            rendered += code == RENDERED
            if before == MISSING:
                new += 1
        self._missing_of_task[task] -= new
        self._missing_of_bucket[self._plan.bucket_of(task)] -= new
        self.rendered_now += rendered
        if rendered:
            self._recent.append((now_ns, rendered))
            self._recently_rendered += rendered
        return new

    def images_per_second(self, now_ns: int, since_ns: int) -> float:
        """Pace over the last minute, or since `since_ns` when that is later."""
        while self._recent and self._recent[0][0] < now_ns - _WINDOW_NS:
            self._recently_rendered -= self._recent.popleft()[1]
        seconds = (now_ns - max(since_ns, now_ns - _WINDOW_NS)) / 1e9
        return self._recently_rendered / seconds if seconds > 0 else 0.0
