"""Whole jobs whose batch size is found by measuring: who measures, what the others do, what the store remembers."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.stores.memory import MemoryStore
from pipeline.assignment import Assignment
from pipeline.clock import ManualClock
from pipeline.errors import OutOfMemoryError
from pipeline.events import BatchTuned, DidNotFit
from pipeline.job import JobState, TaskSizes
from pipeline.memory.tuned_sizes import TunedSizes
from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.record import Cause, Record
from pipeline.renderers.synthetic import SyntheticKind
from pipeline.request import Request
from tests.pipeline.driven_job import PreparedJob, Studio, WatchedCompute
from tests.pipeline.single_worker import Worked, Wrapped, assignment, node, synthetic_model, variant_of, worker


class Watching(WatchedCompute):
    """One that remembers what it was told to do."""

    given: list[tuple[str, Assignment]]

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.given = []

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Remember it, too."""
        self.given.append((worker, assignment))
        super().assign(worker, assignment)


def unsized(prepared: PreparedJob, *, asked: bool = True) -> PreparedJob:
    """The job with a batch size that nobody has said.

    With 4 s a batch and 1 s an image it makes, images per second by size: 1: 0.2, 2: 0.33, 4: 0.5, 8: 0.67, 16: 0.8.
    """
    model = replace(prepared.model, batch_size=None)
    sizes = TaskSizes(batch=16, largest=16, tail_share=4, tasks_per_bucket=4, tuned=asked)
    return replace(prepared, job=replace(prepared.job, models=(model,), sizes=sizes), model=model)


def drive(studio: Studio, prepared: PreparedJob, change: Callable[[Watching], None] = lambda _: None) -> Watching:
    """To its end."""
    made: list[Watching] = []

    def compute(**values: Any) -> Watching:
        made.append(Watching(**values))
        change(made[0])
        return made[0]

    status = studio.drive(prepared, compute=compute)
    assert status.state is JobState.SUCCEEDED
    prepared.check_books()
    return made[0]


def size_of(record: Record) -> int:
    """Batch shape."""
    assert record.profile is not None
    return record.profile.batch_size


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def test_one_worker_measures_and_the_others_use_what_it_found(studio: Studio) -> None:
    """Every batch of the search counts; from then on all workers render with the best size alone."""
    prepared = unsized(studio.prepare(prompts=200, seconds_per_batch="4", seconds_per_image="1"))
    told = drive(studio, prepared).given
    prepared.check_rendered_once()
    measuring = {worker for worker, assignment in told if assignment.tune_to}
    assert len(measuring) == 1
    assert {assignment.tune_to for _, assignment in told} == {0, 16}
    assert {assignment.batch_size for _, assignment in told} == {None, 16}
    full = Counter(size_of(record) for record in prepared.records if len(record.images) == size_of(record))
    assert all(full[size] >= 2 for size in (1, 2, 4, 8, 16))
    settled = {assignment.attempt for _, assignment in told if assignment.batch_size}
    assert {size_of(record) for record in prepared.records if record.attempt in settled} == {16}


def test_next_job_of_the_store_measures_nothing(studio: Studio) -> None:
    """The first one has put the size into the store, for this model, shape and machine."""
    drive(studio, unsized(studio.prepare(name="first", prompts=150, seconds_per_batch="4", seconds_per_image="1")))
    second = unsized(studio.prepare(name="second", prompts=200, seconds_per_batch="4", seconds_per_image="1"))
    told = drive(studio, second).given
    assert {(assignment.batch_size, assignment.tune_to) for _, assignment in told} == {(16, 0)}
    assert {size_of(record) for record in second.records if record.profile} == {16}


def test_nothing_is_measured_where_the_size_is_said_or_on_a_cpu_that_nobody_asked(studio: Studio) -> None:
    """There the renderer's own size holds, whatever would be faster: the same bits as ever."""
    prepared = unsized(studio.prepare(prompts=200, seconds_per_batch="4", seconds_per_image="1"), asked=False)
    told = drive(studio, prepared).given
    assert {(assignment.batch_size, assignment.tune_to) for _, assignment in told} == {(None, 0)}
    assert {size_of(record) for record in prepared.records} == {8}


def test_death_of_the_measuring_worker_hands_the_search_to_another(studio: Studio) -> None:
    """It begins anew there, and the job ends like any other."""
    prepared = unsized(studio.prepare(prompts=200, seconds_per_batch="4", seconds_per_image="1"))
    first: list[str] = []

    def kill_once(compute: Watching) -> None:
        tell = compute.assign

        def assign(worker: str, assignment: Assignment) -> None:
            tell(worker, assignment)
            if assignment.tune_to and not first:
                first.append(worker)
                compute.kill(worker)

        compute.assign = assign  # type: ignore[method-assign]

    told = drive(studio, prepared, kill_once).given
    measuring = list(dict.fromkeys(worker for worker, assignment in told if assignment.tune_to))
    assert measuring[0] == first[0]
    assert len(measuring) == 2
    assert any(assignment.batch_size == 16 for _, assignment in told)


def bad_ninth(row: int) -> str:
    """Prompts, one of which is refused."""
    return f"prompt {row} {'[[bad-request]]' * (row == 9)}"


def test_failing_prompts_are_found_while_a_worker_measures(studio: Studio) -> None:
    """Bisecting a batch and measuring do not come into each other's way."""
    bad = studio.prepare(
        prompts=120,
        prompt=bad_ninth,
        seconds_per_batch="4",
        seconds_per_image="1",
    )
    prepared = unsized(bad)
    status = studio.drive(prepared)
    assert (status.state, status.rendered, status.failed) == (JobState.COMPLETED_WITH_FAILURES, 119, 1)
    prepared.check_books()


def test_size_that_another_job_kept_first_is_the_one_that_holds() -> None:
    """Two jobs may measure at the same time; the store keeps one size, and both take it from then on."""
    store, model, here = MemoryStore(), replace(synthetic_model(), batch_size=None), node()
    variant = variant_of(model)
    found = BatchTuned(worker="w", at_ns=0, attempt="a", size=4, seconds={4: 1.0})
    mine, other = (TunedSizes(store, TaskSizes(batch=4, largest=64, tuned=True)) for _ in range(2))
    mine.told(found, model, variant, here)
    other.told(replace(found, size=8), model, variant, here)
    assert (mine.best(model, variant, here), other.best(model, variant, here)) == (4, 8)
    mine.save()
    other.save()
    assert (mine.best(model, variant, here), other.best(model, variant, here)) == (4, 4)
    assert other.to_measure("w", model, variant, here, images=64, left=1000) == 0


@pytest.mark.parametrize("values", ["{", "[]", '{"schema": 9, "batch_size": 4}', '{"schema": 1, "batch_size": 4000}'])
def test_memory_that_makes_no_sense_is_nothing_known(values: str) -> None:
    """Whoever wrote it: the size is measured again, and no worker is told nonsense."""
    store, model, here = MemoryStore(), replace(synthetic_model(), batch_size=None), node()
    sizes, variant = TaskSizes(batch=4, largest=64, tuned=True), variant_of(model)
    writer = TunedSizes(store, sizes)
    writer.told(BatchTuned(worker="w", at_ns=0, attempt="a", size=4, seconds={4: 1.0}), model, variant, here)
    writer.save()
    (kept,) = store.list("memory/")
    assert json.loads(store.get(kept.key))["batch_size"] == 4
    store.put(kept.key, values.encode())
    reader = TunedSizes(store, sizes)
    assert reader.best(model, variant, here) is None
    assert reader.to_measure("w", model, variant, here, images=50, left=1000) == 32


def test_gpu_is_measured_unless_the_model_says_its_size_or_too_little_is_left() -> None:
    """A GPU's best batch is worth knowing for a few dozen images and more."""
    model, gpu = replace(synthetic_model(), batch_size=None), node(gpu="NVIDIA L4")
    variant = variant_of(model)

    def asked(model_: Any = model, on: Any = gpu, left: int = 1000) -> int:
        sizes = TunedSizes(MemoryStore(), TaskSizes(batch=16, largest=64))
        return sizes.to_measure("w", model_, variant, on, images=64, left=left)

    assert asked() == 32
    assert asked(left=20) == 0
    assert asked(model_=replace(model, batch_size=4)) == 0
    assert asked(on=node()) == 0


def test_size_that_does_not_fit_ends_the_search_below_it() -> None:
    """The batch that failed is rendered in smaller ones, the driver hears of both, and none as large is tried again."""
    tried: list[int] = []

    def refuse(batch: Sequence[Request], size: int) -> None:
        tried.append(size)
        if size > 4:
            raise OutOfMemoryError("does not fit")

    clock = ManualClock()

    def load(model: Model) -> Renderer:
        return Wrapped(SyntheticKind(sleep=clock.advance).load(model, device="cpu", threads=1), before=refuse)

    model = replace(synthetic_model(seconds_per_batch="4", seconds_per_image="1"), batch_size=None)
    store = MemoryStore()
    one = worker(store, clock=clock, load=load, model=model)
    prompts = [f"prompt {number}" for number in range(40)]
    one.work(replace(assignment(prompts, model=model, batch_size=None), tune_to=32))
    worked = Worked(events=tuple(one.poll(0)), store=store)
    assert worked.ended.cause == Cause.SUCCEEDED
    assert sorted(image.image_id for image in worked.images) == sorted(assignment(prompts, model=model).image_ids)
    assert tried == [1, 1, 2, 2, 4, 4, 8, *[4] * 7]
    (found,) = [event for event in worked.events if isinstance(event, BatchTuned)]
    assert (found.size, found.seconds) == (4, {1: 5.0, 2: 6.0, 4: 8.0})
    assert [event.size for event in worked.events if isinstance(event, DidNotFit)] == [8]
    one.work(replace(assignment(prompts[:8], model=model, batch_size=None, attempt="a2")))
    assert tried[-2:] == [4, 4]
