"""A store that does not answer for a while costs time, and neither images nor a balanced ledger."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.errors import StoreUnavailableError
from pipeline.job import JobState
from pipeline.ports import ObjectInfo
from pipeline.status import Status
from tests.pipeline.driven_job import PreparedJob, Studio, WatchedCompute
from tests.pipeline.mortal_store import MortalStore


class SilentStore(MortalStore):
    """A store that does not answer at certain times; the caller waits in vain for two seconds.

    Args:
        store: the real one.
        clock: says what time it is.
        outages: from when to when, in seconds since the beginning.
    """

    def __init__(self, store: MemoryStore, clock: ManualClock, outages: Sequence[tuple[float, float]]) -> None:
        super().__init__(store, {}, clock)
        self._began_ns = clock.now_ns()
        self._outages = outages

    def _answers(self) -> None:
        """Raises: StoreUnavailableError: not now."""
        seconds = (self._clock.now_ns() - self._began_ns) / 1e9
        if any(begin <= seconds < end for begin, end in self._outages):
            self._clock.advance(2)
            raise StoreUnavailableError("no answer")

    def _write(self, write: Callable[[], Any]) -> Any:
        self._answers()
        return super()._write(write)

    def get(self, key: str) -> bytes:
        """Read, or wait in vain."""
        self._answers()
        return super().get(key)

    def head(self, key: str) -> ObjectInfo | None:
        """Look, or wait in vain."""
        self._answers()
        return super().head(key)

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """List, or wait in vain."""
        self._answers()
        return super().list(prefix, start_after=start_after)


def drive_until_done(studio: Studio, prepared: PreparedJob, outages: Sequence[tuple[float, float]]) -> Status:
    """Submit again whenever the store failed at a moment at which nothing can be done without it."""
    store = SilentStore(studio.store, studio.clock, outages)

    def compute(**values: Any) -> WatchedCompute:
        return WatchedCompute(**(values | {"store": store}))

    while True:
        try:
            return studio.drive(prepared, compute=compute, store=store)
        except StoreUnavailableError:
            studio.clock.advance(10)


def done_once(prepared: PreparedJob, status: Status) -> None:
    """Every image is there, and what it cost is known."""
    assert status.state is JobState.SUCCEEDED
    assert {image.image_id for image in prepared.images} == set(prepared.ids)
    assert sorted(row["image_id"] for row in prepared.ledger("images") if row["outcome"] == "rendered") == sorted(
        prepared.ids
    )
    prepared.check_books()


def test_outage_of_a_minute_in_the_middle_of_a_job_is_borne(tmp_path: Path) -> None:
    """One driver, no failed image."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=20)
    status = drive_until_done(studio, prepared, [(3.0, 63.0)])
    done_once(prepared, status)
    assert (status.fence, status.failed) == (1, 0)
    assert prepared.spent("lost_to_failure") == 0, "no batch was rendered in vain"
    assert prepared.spent("idle") > prepared.spent("rendering"), "the devices waited for the store"
    prepared.check_rendered_once()


def test_outage_while_the_last_lines_are_written_is_borne(tmp_path: Path) -> None:
    """The same driver waits with the ledger, and then is done."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=2)
    undisturbed = Studio(tmp_path / "other")
    (tmp_path / "other").mkdir()
    began_ns = undisturbed.clock.now_ns()
    seconds = (undisturbed_end(undisturbed) - began_ns) / 1e9
    status = drive_until_done(studio, prepared, [(seconds - 0.05, seconds + 120)])
    done_once(prepared, status)
    assert status.fence == 1
    assert studio.clock.now_ns() - began_ns > 120e9


def undisturbed_end(studio: Studio) -> int:
    """When such a job is over with a store that answers."""
    prepared = studio.prepare(prompts=2)
    drive_until_done(studio, prepared, [])
    return studio.clock.now_ns()


def test_workers_that_alone_are_cut_off_say_so_and_stop_the_job_in_the_end(tmp_path: Path) -> None:
    """The driver reaches the store and its workers do not: what the store said is told, and no image fails."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=12)
    silent = SilentStore(studio.store, studio.clock, [(3.0, 1e9)])
    status = studio.drive(prepared, compute=lambda **values: WatchedCompute(**(values | {"store": silent})))
    assert (status.state, status.failed) == (JobState.STOPPED, 0)
    assert "the store has not answered any worker" in status.message
    assert "(no answer)" in status.message
    done_once(prepared, studio.drive(prepared))


def test_workers_that_were_cut_off_for_a_while_are_trouble_no_more(tmp_path: Path) -> None:
    """What was said of the store is taken back as soon as it answers."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=20)
    silent = SilentStore(studio.store, studio.clock, [(3.0, 63.0)])
    said: list[str] = []
    status = studio.drive(
        prepared,
        compute=lambda **values: WatchedCompute(**(values | {"store": silent})),
        watch=lambda status, _button: said.append(status.message),
    )
    done_once(prepared, status)
    assert said[-1] == ""


@settings(max_examples=25, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    outages=st.lists(st.tuples(st.floats(0, 60), st.floats(0, 40)), max_size=4),
    prompts=st.integers(1, 12),
    images=st.integers(1, 2),
)
def test_any_outages_cost_no_image_and_the_books_balance(
    outages: list[tuple[float, float]], prompts: int, images: int
) -> None:
    """Whenever the store falls silent, for drivers and workers alike, and for however long."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder))
        prepared = studio.prepare(prompts=prompts, images=images)
        status = drive_until_done(studio, prepared, [(begin, begin + seconds) for begin, seconds in outages])
        done_once(prepared, status)
