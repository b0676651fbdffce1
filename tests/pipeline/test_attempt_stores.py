"""An attempt whose store does not answer, refuses, or answers wrongly."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.errors import StoreRefusedError, StoreUnavailableError
from pipeline.ports import PutMode
from pipeline.record import Cause
from tests.pipeline.single_worker import Worked, Wrapped, assignment, load_synthetic, work, worker

EIGHT = [f"prompt {number}" for number in range(8)]


class BrokenStore(MemoryStore):
    """A store of which some writes fail.

    Args:
        breaks: whether the write of this key fails.
        error: how.
    """

    def __init__(self, breaks: Callable[[str], bool], error: type[Exception] = StoreUnavailableError) -> None:
        super().__init__()
        self._breaks, self._error = breaks, error

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """Write, or fail."""
        if self._breaks(key):
            raise self._error("the store does not answer")
        return super().put(key, body, mode=mode, if_match=if_match)

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """Write one after the other."""
        for key, body in objects.items():
            self.put(key, body)


@pytest.mark.parametrize("folder", ["images/", "jobs/"])
def test_store_that_never_answers_ends_the_attempt_with_nothing_committed(folder: str) -> None:
    """Whether the images or the record cannot be put: there is no record and no word of one, after a long patience."""
    store = BrokenStore(lambda key: key.startswith(folder))
    clock = ManualClock()
    before_ns = clock.now_ns()
    one = worker(store, clock=clock)
    one.work(replace(assignment(EIGHT), outage_seconds=100))
    worked = Worked(events=tuple(one.poll(0)), store=store)
    assert worked.ended.cause == Cause.STORE_UNAVAILABLE
    assert "does not answer" in worked.ended.message
    assert worked.stored == worked.records == []
    assert clock.now_ns() - before_ns > 90e9


def test_pictures_wait_in_memory_for_a_store_that_answers_again() -> None:
    """An outage that ends in time costs no rendering: every batch is denoised once."""
    clock, batches = ManualClock(), []
    back_ns = clock.now_ns() + 600 * 10**9
    store = BrokenStore(lambda key: key.startswith("images/") and clock.now_ns() < back_ns)
    watched = lambda model: Wrapped(load_synthetic(model), before=lambda batch, _size: batches.append(len(batch)))  # noqa: E731
    one = worker(store, clock=clock, load=watched)
    one.work(assignment(EIGHT))
    worked = Worked(events=tuple(one.poll(0)), store=store)
    assert worked.ended.cause == Cause.SUCCEEDED
    assert len(worked.images) == 8
    assert batches == [4, 4]


def test_closed_worker_waits_for_no_store() -> None:
    """Whoever ends it has said that nothing is to be waited for."""
    clock = ManualClock()
    closing: list[Callable[[], None]] = []

    def close_and_fail(_key: str) -> bool:
        closing[0]()
        return True

    one = worker(BrokenStore(close_and_fail), clock=clock)
    closing.append(one.close)
    before_ns = clock.now_ns()
    one.work(assignment(EIGHT[:4]))
    assert clock.now_ns() == before_ns


def test_store_that_refuses_ends_the_attempt_with_its_words() -> None:
    """A final no to one worker fails no image: the work waits for a store that takes it."""
    store = BrokenStore(lambda key: key.startswith("jobs/"), StoreRefusedError)
    worked = work(assignment(["prompt"]), store=store)
    assert worked.ended.cause == Cause.STORE_UNAVAILABLE
    assert "does not answer" in worked.ended.message
    assert worked.stored == worked.records == []


class ForgetfulStore(MemoryStore):
    """A store whose create-only puts succeed and then say that the object exists: a response was lost."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """Write twice where the second says no."""
        if mode == "create":
            super().put(key, body, mode=mode)
        return super().put(key, body, mode=mode, if_match=if_match)


def test_record_whose_put_lost_its_response_counts_as_committed() -> None:
    """`Already exists` with the very same body is success."""
    worked = work(assignment(EIGHT), store=ForgetfulStore())
    assert worked.ended.cause == Cause.SUCCEEDED
    assert len(worked.records) == len(worked.stored) == 2
