"""Every cause of a retry, in whole jobs: what is tried again, where, how often, and what is recorded in the end."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import OutOfMemoryError
from pipeline.job import JobState
from pipeline.layout import failures_key
from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.record import Cause, Node, Outcome
from pipeline.request import Request
from pipeline.status import Status
from tests.pipeline.driven_job import PreparedJob, Studio, WatchedCompute
from tests.pipeline.mortal_store import DiedError
from tests.pipeline.single_worker import Wrapped


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


@dataclass
class Seen:
    """What the devices of a job were given."""

    batches: list[tuple[str, tuple[str, ...], int]] = field(default_factory=list)
    """Worker, prompts, shape."""
    workers: list[str] = field(default_factory=list)
    """In the order of their starts."""

    def of(self, mark: str) -> list[tuple[str, int]]:
        """Worker and images of every batch in which this mark was."""
        return [(worker, len(prompts)) for worker, prompts, _ in self.batches if any(mark in one for one in prompts)]


class Observed(WatchedCompute):
    """Workers whose batches are written down, and may end in any way."""

    def __init__(self, *, seen: Seen, before: Callable[[str, Sequence[Request], int], None], **values: Any) -> None:
        super().__init__(**values)
        self._seen, self._before, self._starts = seen, before, 0

    def load(self, model: Model) -> Renderer:
        """The stand-in with an eye on it."""
        self._starts += 1
        worker = f"process {self._starts}"
        self._seen.workers.append(worker)

        def before(batch: Sequence[Request], size: int) -> None:
            self._seen.batches.append((worker, tuple(request.prompt for request in batch), size))
            self._before(worker, batch, size)

        return Wrapped(super().load(model), before=before)


def nothing(_worker: str, _batch: Sequence[Request], _size: int) -> None:
    """Let the device work."""


def drive(
    studio: Studio,
    prepared: PreparedJob,
    *,
    before: Callable[[str, Sequence[Request], int], None] = nothing,
    workers: int = 2,
    **options: Any,
) -> tuple[Status, Seen]:
    """Drive a job under observation."""
    seen = Seen()

    def compute(**values: Any) -> WatchedCompute:
        return Observed(seen=seen, before=before, **(values | {"workers": workers}))

    return studio.drive(prepared, compute=compute, **options), seen


def prompts(mark: str, place: int) -> Callable[[int], str]:
    """One prompt with a mark, all others plain."""
    return lambda row: f"prompt {row} {mark}" if row == place else f"prompt {row}"


def failed_alone(prepared: PreparedJob, status: Status, place: int, cause: Cause) -> None:
    """This image is the only one that failed; all others are there; the books balance."""
    assert status.state is JobState.COMPLETED_WITH_FAILURES
    rows = {row["image_id"]: row for row in prepared.ledger("images")}
    for number, image_id in enumerate(prepared.ids):
        assert rows[image_id]["outcome"] == ("failed" if number == place else "rendered")
    assert rows[prepared.ids[place]]["cause"] == cause
    assert cause.value.encode() in prepared.store.get(failures_key(prepared.job.id))
    prepared.check_books()


@pytest.mark.parametrize("workers", [1, 2])
def test_bad_request_is_bad_when_two_processes_say_so(studio: Studio, workers: int) -> None:
    """Its neighbours are rendered; with one worker only, that one's process is replaced for the second opinion."""
    prepared = studio.prepare(prompts=9, prompt=prompts("[[bad-request]]", 4))
    status, seen = drive(studio, prepared, workers=workers)
    failed_alone(prepared, status, 4, Cause.BAD_REQUEST)
    alone = [worker for worker, images in seen.of("[[bad-request]]") if images == 1]
    assert len(alone) == len(set(alone)) == 2
    assert status.workers_lost == 0, "a process that the driver replaces is no loss"
    assert len(seen.workers) == 2
    assert status.retries["BAD_REQUEST"] == 2


def test_image_that_only_one_process_refuses_is_rendered(studio: Studio) -> None:
    """The other one acquits it."""

    def before(worker: str, batch: Sequence[Request], _size: int) -> None:
        if worker == "process 1" and any("[[odd]]" in request.prompt for request in batch):
            raise ValueError("odd")

    prepared = studio.prepare(prompts=9, prompt=prompts("[[odd]]", 0))
    status, _ = drive(studio, prepared, before=before)
    assert (status.state, status.rendered) == (JobState.SUCCEEDED, 9)
    prepared.check_rendered_once()
    prepared.check_books()


@pytest.mark.parametrize("workers", [1, 3])
def test_broken_device_ends_its_process_and_the_request_is_found(studio: Studio, workers: int) -> None:
    """A batch that breaks devices is bisected over fresh processes; each that broke renders nothing afterwards."""
    prepared = studio.prepare(prompts=9, prompt=prompts("[[device-fault]]", 5))
    status, seen = drive(studio, prepared, workers=workers)
    failed_alone(prepared, status, 5, Cause.BAD_REQUEST)
    broken = [worker for worker, _ in seen.of("[[device-fault]]")]
    assert len(broken) == len(set(broken)), "no process had it twice"
    assert [images for _, images in seen.of("[[device-fault]]")] == [2, 1, 1]
    for worker in broken:
        last = [prompt for name, prompt, _ in seen.batches if name == worker][-1]
        assert any("[[device-fault]]" in one for one in last), "nothing was rendered in a broken process"
    assert status.workers_lost == 0
    prepared.check_books()


@pytest.mark.parametrize("mark", ["[[black]]", "[[nan]]"])
@pytest.mark.parametrize("workers", [1, 2])
def test_bad_output_is_tried_once_more_in_another_process(studio: Studio, mark: str, workers: int) -> None:
    """Then it is recorded; what both tries cost is lost to failure, to the nano-dollar."""
    prepared = studio.prepare(prompts=8, prompt=prompts(mark, 3))
    status, seen = drive(studio, prepared, workers=workers)
    failed_alone(prepared, status, 3, Cause.BAD_OUTPUT)
    tried = [worker for worker, _ in seen.of(mark)]
    assert len(tried) == len(set(tried)) == 2
    refused = [image for image in prepared.images if image.outcome is Outcome.REFUSED]
    assert sum(image.usd for image in refused) == prepared.spent("lost_to_failure") > 0
    assert status.retries == {"BAD_OUTPUT": 2}


def test_blanked_image_is_not_tried_again(studio: Studio) -> None:
    """The safety checker would blank it again."""
    prepared = studio.prepare(prompts=8, prompt=prompts("[[blank]]", 3))
    status, seen = drive(studio, prepared)
    failed_alone(prepared, status, 3, Cause.SAFETY_BLANKED)
    assert len(seen.of("[[blank]]")) == 1
    assert status.retries == {}


def kill_for(mark: str) -> Callable[[str, Sequence[Request], int], None]:
    """The process dies with every batch that holds this mark."""

    def before(_worker: str, batch: Sequence[Request], _size: int) -> None:
        if any(mark in request.prompt for request in batch):
            raise DiedError(mark)

    return before


@pytest.mark.parametrize("workers", [1, 3])
def test_image_that_kills_every_worker_is_bisected_out(studio: Studio, workers: int) -> None:
    """Three deaths of the whole batch, then its halves, then three more alone; its neighbours are rendered."""
    prepared = studio.prepare(prompts=9, prompt=prompts("[[kill]]", 4))
    status, seen = drive(studio, prepared, workers=workers, before=kill_for("[[kill]]"))
    failed_alone(prepared, status, 4, Cause.INFRASTRUCTURE)
    assert [images for _, images in seen.of("[[kill]]")] == [2, 2, 2, 1, 1, 1]
    assert status.workers_lost == 6
    assert status.retries["INFRASTRUCTURE"] >= 6


def test_job_of_which_nothing_can_be_rendered_is_stopped_rather_than_failed(studio: Studio) -> None:
    """When one image after the other is given up for reasons of infrastructure, it is not the images."""

    def before(_worker: str, _batch: Sequence[Request], _size: int) -> None:
        raise OSError("this machine is broken")

    prepared = studio.prepare(prompts=60)
    status, _ = drive(studio, prepared, before=before)
    assert status.state is JobState.STOPPED
    assert "this machine is broken" in status.message
    assert status.failed <= 25
    prepared.check_books()


def test_two_deaths_of_a_batch_are_the_clouds_fault(studio: Studio) -> None:
    """The third try renders it, whole."""
    deaths: list[str] = []

    def before(worker: str, batch: Sequence[Request], _size: int) -> None:
        if any("[[weak]]" in request.prompt for request in batch) and len(deaths) < 2:
            deaths.append(worker)
            raise DiedError(worker)

    prepared = studio.prepare(prompts=9, prompt=prompts("[[weak]]", 4))
    status, seen = drive(studio, prepared, before=before)
    assert (status.state, status.workers_lost) == (JobState.SUCCEEDED, 2)
    assert [images for _, images in seen.of("[[weak]]")] == [2, 2, 2]
    prepared.check_rendered_once()


def test_retries_of_infrastructure_wait_longer_each_time(studio: Studio) -> None:
    """Half a second, one, two, ...: with the jitter of a world without chance."""
    at: list[int] = []

    def before(_worker: str, batch: Sequence[Request], _size: int) -> None:
        if any("[[kill]]" in request.prompt for request in batch):
            at.append(studio.clock.now_ns())
            raise DiedError("again")

    prepared = studio.prepare(prompts=1, prompt=prompts("[[kill]]", 0))
    drive(studio, prepared, before=before)
    waits = [(later - earlier) / 1e9 for earlier, later in pairwise(at)]
    assert len(waits) == 5
    assert all(wait >= 0.5 * 2**number / 2 for number, wait in enumerate(waits))


def test_batch_that_does_not_fit_is_learned_once_for_all_jobs(studio: Studio) -> None:
    """The first worker finds out; the others, and those of later jobs, begin with what fits."""

    def before(_worker: str, _batch: Sequence[Request], size: int) -> None:
        if size > 3:
            raise OutOfMemoryError("does not fit")

    prepared = studio.prepare(name="first", prompts=40)
    status, seen = drive(studio, prepared, before=before)
    assert status.state is JobState.SUCCEEDED
    tried = Counter(size for _, _, size in seen.batches)
    assert tried[8] <= 2, "at most once for each of the two that began together"
    assert set(tried) == {8, 4, 2}
    assert {record.profile.batch_size for record in prepared.records if record.profile} == {2}
    prepared.check_rendered_once()
    later = studio.prepare(name="later", prompts=50)
    status, seen = drive(studio, later, before=before)
    assert status.state is JobState.SUCCEEDED
    assert {size for _, _, size in seen.batches} == {2}


def test_image_too_large_for_every_type_of_node_is_recorded(studio: Studio) -> None:
    """There is one type only, so nothing is waited for."""
    prepared = studio.prepare(prompts=6, prompt=prompts("[[huge]]", 2))
    status, seen = drive(studio, prepared)
    failed_alone(prepared, status, 2, Cause.OUT_OF_MEMORY)
    assert [images for _, images in seen.of("[[huge]]")][-1] == 1


class Mixed(Observed):
    """The second worker stands on a larger type of node."""

    def node(self, gpu: int) -> Node:
        """The first one's, or another."""
        node = super().node(gpu)
        return replace(node, node_session=f"{node.node_session}-larger", node_type="larger") if gpu else node


def test_image_that_fits_only_on_a_larger_node_is_rendered_there(studio: Studio) -> None:
    """The small type is not asked again."""
    seen = Seen()

    def before(worker: str, batch: Sequence[Request], _size: int) -> None:
        if worker == "process 1" and any("[[large]]" in request.prompt for request in batch):
            raise OutOfMemoryError("does not fit")

    prepared = studio.prepare(prompts=9, prompt=prompts("[[large]]", 0))
    status = studio.drive(prepared, compute=lambda **values: Mixed(seen=seen, before=before, **values))
    assert (status.state, status.rendered) == (JobState.SUCCEEDED, 9)
    assert [worker for worker, _ in seen.of("[[large]]")][-1] == "process 2"
    prepared.check_books()


def test_every_retry_is_logged_with_its_cause(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    """One line each: cause, task, worker, message."""
    prepared = studio.prepare(prompts=6, prompt=prompts("[[black]]", 2))
    with caplog.at_level("INFO", logger="pipeline.driving.returns"):
        status, _ = drive(studio, prepared)
    lines = [record.getMessage() for record in caplog.records if record.name == "pipeline.driving.returns"]
    assert len(lines) == sum(status.retries.values()) == 2
    assert all("cause=BAD_OUTPUT task=t000000" in line and "worker=" in line and "black" in line for line in lines)
