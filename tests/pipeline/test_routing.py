"""Which worker is given which work when there are several models: few loads, and nothing waits for ever."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.driving.task_queue import PATIENCE, Piece, TaskQueue
from pipeline.job import JobState
from pipeline.model import Model
from pipeline.ports import Renderer
from tests.pipeline.driven_job import Studio, WatchedCompute


class Loading(WatchedCompute):
    """One that counts how often each model is loaded."""

    loads: Counter[str]

    def __init__(self, **values: Any) -> None:
        self.loads = Counter()
        super().__init__(**values)

    def load(self, model: Model) -> Renderer:
        """Count it, too."""
        self.loads[model.name] += 1
        return super().load(model)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def anything(_piece: Piece) -> bool:
    """Whoever asks may have it."""
    return True


def test_worker_keeps_the_model_that_it_holds_while_any_of_its_work_is_left(studio: Studio) -> None:
    """Four images of each prompt, breadth-first, would be eight changes of the model for each worker."""
    prepared = studio.prepare(prompts=12, images=4, models=2, load_seconds="20")
    made: list[Loading] = []

    def compute(**values: Any) -> Loading:
        made.append(Loading(**values))
        return made[0]

    assert studio.drive(prepared, compute=compute).state is JobState.SUCCEEDED
    prepared.check_rendered_once()
    prepared.check_books()
    assert made[0].loads["synthetic"] == 2, "one by each worker, and nobody went back to it"
    assert 1 <= made[0].loads["synthetic1"] <= 2


@given(
    kinds=st.lists(st.sampled_from("abc"), max_size=120),
    back=st.lists(st.integers(0, 119), max_size=10),
    wishes=st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=8),
)
def test_everything_is_handed_out_once_and_the_earliest_is_not_passed_over_for_ever(
    kinds: list[str], back: list[int], wishes: list[str]
) -> None:
    """Whoever asks and whatever they hold; what came back is served like the rest."""
    queue = TaskQueue(range(len(kinds)), lambda task: kinds[task])
    left = set(range(len(kinds)))
    again = [task for task in dict.fromkeys(back) if task in left]
    passed = 0
    served: list[int] = []
    while len(queue):
        wish = wishes[len(served) % len(wishes)]
        piece = queue.pop(0, anything, preferred=wish)
        assert piece is not None
        earliest = min(left)
        passed = passed + 1 if piece.task != earliest else 0
        assert passed <= PATIENCE
        if passed == 0 or kinds[piece.task] == wish:
            assert all(task >= piece.task for task in left if kinds[task] == kinds[piece.task])
        else:
            pytest.fail("neither the earliest nor what was asked for")
        served.append(piece.task)
        if piece.task in again:
            again.remove(piece.task)
            queue.put(Piece(task=piece.task, places=(1,)), due_ns=0)
        else:
            left.discard(piece.task)
    assert not left
    assert Counter(served) == Counter(range(len(kinds))) + Counter(
        task for task in dict.fromkeys(back) if task < len(kinds)
    )


def test_work_that_this_worker_may_not_have_holds_up_nothing_behind_it() -> None:
    """A worker that cannot load the plan's first model is given the second one's tasks."""
    kinds = "aab"
    queue = TaskQueue(range(3), lambda task: kinds[task])
    piece = queue.pop(0, lambda piece: kinds[piece.task] != "a", preferred="a")
    assert piece == Piece(task=2)
    assert queue.pop(0, lambda piece: kinds[piece.task] != "a") is None
    assert [queue.pop(0, anything) for _ in range(3)] == [Piece(task=0), Piece(task=1), None]
