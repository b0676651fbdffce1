"""A worker's life: its inbox, its threads, and which model it holds."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from infra.stores.memory import MemoryStore
from pipeline.clock import SystemClock
from pipeline.errors import ModelError, ModelUnavailableError
from pipeline.events import (
    AttemptEnded,
    DeviceTaken,
    Heartbeat,
    Preparing,
    WorkerEvent,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.model import Model
from pipeline.ports import Renderer
from pipeline.record import Cause, Outcome
from pipeline.working.worker import Worker
from tests.pipeline.single_worker import Worked, Wrapped, assignment, load_synthetic, node, synthetic_model, worker

EIGHT = [f"prompt {number}" for number in range(8)]


class Log:
    """Loads stand-ins, and writes down what is loaded and closed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def load(self, model: Model) -> Renderer:
        """Load, or refuse as the model's options say."""
        log, name = self.lines, f"{model.revision} {model.precision}"

        class Logged(Wrapped):
            def close(self) -> None:
                """Write it down."""
                log.append(f"close {name}")
                super().close()

        log.append(f"load {name}")
        return Logged(load_synthetic(model))


def threaded_worker(store: MemoryStore, load: Callable[[Model], Renderer] = load_synthetic) -> Worker:
    """A worker with its own threads."""
    return Worker(
        name="w", node=node(), gpu_index=0, load=load, model=synthetic_model(), store=store, clock=SystemClock()
    )


def events_until_ends(one: Worker, ends: int) -> list[WorkerEvent]:
    """What a worker tells until so many attempts have ended."""
    events: list[WorkerEvent] = []
    while sum(isinstance(event, AttemptEnded) for event in events) < ends:
        events += one.poll(5)
    return events


def test_worker_with_threads_renders_all_and_leaves_no_thread_behind() -> None:
    """Three tasks, some prompts of which fail, one after the other from the inbox; then it closes cleanly."""
    before = set(threading.enumerate())
    store, log = MemoryStore(), Log()
    one = threaded_worker(store, log.load)
    life = threading.Thread(target=one.run)
    life.start()
    given = []
    for number in range(3):
        prompts = [*(f"{prompt} of {number}" for prompt in EIGHT), f"{number} [[bad-request]]", f"{number} [[black]]"]
        given.append(replace(assignment(prompts, attempt=f"a{number}"), task=f"t{number:07d}"))
        one.assign(given[-1])
    events = events_until_ends(one, 3)
    one.close()
    life.join(30)
    assert not life.is_alive()
    assert set(threading.enumerate()) <= before
    worked = Worked(events=tuple(events), store=store)
    told = [type(event) for event in events if not isinstance(event, Heartbeat)]
    assert told[:2] == [WorkerStarting, WorkerReady]
    ends = [event for event in events if isinstance(event, AttemptEnded)]
    assert {event.cause for event in ends} == {Cause.BAD_REQUEST}
    assert [[suspect.place for suspect in event.suspects] for event in ends] == [[8]] * 3
    wanted = sorted(image_id for each in given for image_id in (*each.image_ids[:8], each.image_ids[9]))
    assert sorted(image.image_id for image in worked.images) == wanted
    assert sum(image.outcome is Outcome.REFUSED for image in worked.images) == 3
    assert worked.stored == sorted(worked.records, key=lambda record: record.name)
    assert log.lines == ["load synthetic:1 fp32", "close synthetic:1 fp32"]


def test_every_batch_is_told_before_its_attempt_ends() -> None:
    """The driver may take an attempt's end for the last word on it, also when batches commit on threads."""
    one = threaded_worker(MemoryStore())
    life = threading.Thread(target=one.run)
    life.start()
    one.assign(assignment([f"prompt {number}" for number in range(40)], batch_size=3))
    events = events_until_ends(one, 1)
    one.close()
    life.join(30)
    place = next(place for place, event in enumerate(events) if isinstance(event, AttemptEnded))
    assert len(Worked(events=tuple(events[:place]), store=MemoryStore()).images) == 40


def test_closing_hands_back_what_stands_in_the_inbox() -> None:
    """Assignments that were not begun come back untouched, and `run` returns."""
    store = MemoryStore()
    one = threaded_worker(store)
    for number in range(2):
        one.assign(assignment(EIGHT, attempt=f"a{number}"))
    one.close()
    one.run()
    ends = [event for event in one.poll(0) if isinstance(event, AttemptEnded)]
    assert [end.cause for end in ends] == [Cause.HANDED_BACK, Cause.HANDED_BACK]
    assert list(store.list("")) == []


def test_second_model_replaces_the_first() -> None:
    """The first is closed before the second is loaded, so that both never share the device; back and forth works."""
    store, log = MemoryStore(), Log()
    one = worker(store, load=log.load)
    first, second = synthetic_model(), replace(synthetic_model(), revision="synthetic:2")
    for number, model in enumerate([first, second, second, first]):
        one.work(assignment([f"prompt {number}"], model=model, attempt=f"a{number}"))
    assert log.lines == [
        "load synthetic:1 fp32",
        "close synthetic:1 fp32",
        "load synthetic:2 fp32",
        "close synthetic:2 fp32",
        "load synthetic:1 fp32",
    ]
    assert all(image.outcome is Outcome.RENDERED for image in Worked(events=tuple(one.poll(0)), store=store).images)


def test_loading_another_model_is_told_as_start_up() -> None:
    """From the end of the batch before until the model is there the device is being made ready; then it is taken."""
    one = worker(MemoryStore())
    other = replace(synthetic_model(), revision="synthetic:2", name="other")
    for number, model in enumerate([synthetic_model(), other]):
        one.work(assignment(["a prompt"], model=model, attempt=f"a{number}"))
    told = [event for event in one.poll(0) if isinstance(event, Preparing | DeviceTaken)]
    assert [event.what if isinstance(event, Preparing) else event.attempt for event in told] == [
        *("a0", None),
        *("load", None),
        *("a1", None),
    ]


def test_same_weights_in_another_precision_are_loaded_anew() -> None:
    """A revision names weights only; the loaded pipeline has a precision and options too."""
    log = Log()
    one = worker(MemoryStore(), load=log.load)
    one.work(assignment(EIGHT, model=replace(synthetic_model(), precision="bf16")))
    assert log.lines[1:] == ["close synthetic:1 fp32", "load synthetic:1 bf16"]


def test_model_that_cannot_be_loaded_is_refused_at_the_start() -> None:
    """The worker says why and is over; nobody waits at 0 %."""
    one = threaded_worker(MemoryStore(), lambda _model: load_synthetic(synthetic_model(fail_load="weights are gone")))
    one.run()
    events = one.poll(0)
    (refused,) = [event for event in events if isinstance(event, WorkerRefused)]
    assert (refused.cause, refused.message) == (Cause.MODEL_UNAVAILABLE, "weights are gone")
    assert not any(isinstance(event, WorkerReady) for event in events)


def test_worker_that_must_not_render_says_so_at_the_start() -> None:
    """What only the user can mend is no matter of the model's being there."""

    def refuse(_model: Model) -> Renderer:
        raise ModelError("needs a GPU")

    one = threaded_worker(MemoryStore(), refuse)
    assert not one.start()
    (refused,) = [event for event in one.poll(0) if isinstance(event, WorkerRefused)]
    assert (refused.cause, refused.message) == ("CLUSTER_REFUSED", "needs a GPU")
    one.close()
    one.run()


@pytest.mark.parametrize("lasting", [True, False])
def test_second_model_that_cannot_be_loaded_ends_only_its_attempt(*, lasting: bool) -> None:
    """The worker lives on, tries again when asked again, and goes back to the first model."""
    store, log = MemoryStore(), Log()
    failures = [ModelUnavailableError("no such file")] * (2 if lasting else 1)

    def load(model: Model) -> Renderer:
        if model.revision == "synthetic:2" and failures:
            raise failures.pop()
        return log.load(model)

    one = worker(store, load=load)
    first, second = synthetic_model(), replace(synthetic_model(), revision="synthetic:2")
    for number, model in enumerate([second, second, first]):
        one.work(assignment([f"prompt {number}"], model=model, attempt=f"a{number}"))
    causes = [event.cause for event in one.poll(0) if isinstance(event, AttemptEnded)]
    again = Cause.MODEL_UNAVAILABLE if lasting else Cause.SUCCEEDED
    assert causes == [Cause.MODEL_UNAVAILABLE, again, Cause.SUCCEEDED]
