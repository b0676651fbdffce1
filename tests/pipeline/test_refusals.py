"""A store that says a final no stops the job with the remedy; no image fails, and mended it goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.errors import StoreRefusedError
from pipeline.job import JobState
from tests.pipeline.driven_job import Studio, WatchedCompute
from tests.pipeline.mortal_store import MortalStore

REMEDY = "access denied: allow s3:PutObject"


class RefusingStore(MortalStore):
    """A store that refuses some writes.

    Args:
        store: the real one.
        clock: of the job.
        refuses: told the number of each write, from 0; whether it is refused.
    """

    def __init__(self, store: MemoryStore, clock: ManualClock, refuses: Callable[[int], bool]) -> None:
        super().__init__(store, {}, clock)
        self._refuses = refuses
        self.writes = 0

    def _write(self, write: Callable[[], Any]) -> Any:
        number, self.writes = self.writes, self.writes + 1
        if self._refuses(number):
            raise StoreRefusedError(REMEDY)
        return super()._write(write)


class ReplacingCompute(WatchedCompute):
    """One that starts another worker in place of each that was killed, as all real ones do."""

    def kill(self, worker: str) -> None:
        """End it, and start another."""
        super().kill(worker)
        self._start(int(worker.rpartition("-")[2]))


def _refused_workers(store: RefusingStore) -> Callable[..., WatchedCompute]:
    """Workers that have this store in place of the driver's."""
    return lambda **values: ReplacingCompute(**(values | {"store": store}))


def test_workers_that_may_not_write_stop_the_job_and_fail_no_image(tmp_path: Path) -> None:
    """Waiting would not help and rendering costs money: three refusals, then the reason and its remedy."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=12)
    refusing = RefusingStore(studio.store, studio.clock, lambda _number: True)
    status = studio.drive(prepared, compute=_refused_workers(refusing))
    assert (status.state, status.failed) == (JobState.STOPPED, 0)
    assert REMEDY in status.message
    assert refusing.writes <= 8
    assert studio.drive(prepared).state is JobState.SUCCEEDED
    prepared.check_rendered_once()
    prepared.check_books()


def test_a_worker_that_may_not_write_is_replaced(tmp_path: Path) -> None:
    """A node with a wrong clock or role is not the job's end: another one takes over, and a success starts anew."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=30)
    refusing = RefusingStore(studio.store, studio.clock, lambda number: number in {2, 13, 14, 30})
    status = studio.drive(prepared, compute=_refused_workers(refusing))
    assert (status.state, status.failed) == (JobState.SUCCEEDED, 0)
    prepared.check_rendered_once()
    prepared.check_books()


@pytest.mark.parametrize("first", [3, 8, 15])
def test_a_driver_that_may_not_write_says_so_and_loses_nothing(tmp_path: Path, first: int) -> None:
    """From any write on: what is committed stays, and the next driver renders the rest."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=20)
    refusing = RefusingStore(studio.store, studio.clock, lambda number: number >= first)
    honest = MortalStore(studio.store, {}, studio.clock)
    with pytest.raises(StoreRefusedError, match="access denied"):
        studio.drive(
            prepared, store=refusing, compute=lambda **values: ReplacingCompute(**(values | {"store": honest}))
        )
    assert studio.drive(prepared).state is JobState.SUCCEEDED
    assert {image.image_id for image in prepared.images} == set(prepared.ids)
    prepared.check_books()
