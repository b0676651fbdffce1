"""A store that is slower than the device: memory stays bounded, nothing is lost, and people hear what it waits for."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.stores.memory import MemoryStore
from pipeline.clock import SystemClock
from pipeline.events import AttemptEnded, Bottleneck, DeviceWaits, WorkerEvent
from pipeline.job import JobState
from pipeline.record import Cause, Outcome
from pipeline.request import Request
from pipeline.working.stages import ThreadStages
from pipeline.working.worker import Worker
from tests.pipeline.driven_job import Studio, WatchedCompute
from tests.pipeline.single_worker import Wrapped, assignment, load_synthetic, node, synthetic_model

TEN = [f"prompt {number}" for number in range(10)]


class HeldStore(MemoryStore):
    """A store that takes images only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """Wait, then write."""
        assert self.open.wait(60)
        super().put_batch(objects)


def until(one: Worker, heard: Callable[[WorkerEvent], bool]) -> list[WorkerEvent]:
    """What a worker tells until this is heard."""
    events: list[WorkerEvent] = []
    while not any(heard(event) for event in events):
        events += one.poll(5)
    return events


def waits_for_store(event: WorkerEvent) -> bool:
    """Whether the device waits for the store."""
    return isinstance(event, DeviceWaits) and event.waits_for == "store"


def is_end(event: WorkerEvent) -> bool:
    """Whether an attempt has ended."""
    return isinstance(event, AttemptEnded)


def test_device_waits_with_four_batches_on_their_way_and_says_what_for() -> None:
    """The fifth batch is not begun before the store takes one; then all are committed, and the wait is taken back."""
    store, denoised = HeldStore(), list[Sequence[Request]]()

    def count(batch: Sequence[Request], _size: int) -> None:
        denoised.append(batch)

    one = Worker(
        name="w",
        node=node(),
        gpu_index=0,
        load=lambda model: Wrapped(load_synthetic(model), before=count),
        model=synthetic_model(),
        store=store,
        clock=SystemClock(),
    )
    life = threading.Thread(target=one.run)
    life.start()
    try:
        one.assign(assignment(TEN, batch_size=1))
        until(one, waits_for_store)
        assert len(denoised) == ThreadStages.batches_in_flight
        assert list(store.list("images/")) == []
        store.open.set()
        events = until(one, is_end)
        assert [event.cause for event in events if isinstance(event, AttemptEnded)] == [Cause.SUCCEEDED]
        assert len(list(store.list("images/"))) == len(TEN)
        one.assign(replace(assignment(["one more"], batch_size=1, attempt="a2"), task="t0000001"))
        events += until(one, is_end)
        assert [event.waits_for for event in events if isinstance(event, DeviceWaits)][-1] is None
    finally:
        store.open.set()
        one.close()
        life.join(60)
    assert not life.is_alive()


class Held(WatchedCompute):
    """Its workers' devices wait for a stage, from their first word to the third asking for events after it."""

    stage: Bottleneck = "store"
    asked = 0

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """And what they wait for."""
        told = list(super().events(timeout_seconds=timeout_seconds))
        self.asked += 1
        workers = {event.worker for event in told}
        waits_for = self.stage if self.asked < 4 else None
        return told + [DeviceWaits(worker=one, at_ns=self._clock.now_ns(), waits_for=waits_for) for one in workers]


def said(studio: Studio, stage: Bottleneck) -> list[str]:
    """What the status says while the devices wait for this stage, and when they do no more."""
    messages: list[str] = []

    def compute(**values: Any) -> Held:
        made = Held(**values)
        made.stage = stage
        return made

    prepared = studio.prepare(name=stage, prompts=20, prompt=f"{stage} {{}}".format)
    status = studio.drive(prepared, compute=compute, watch=lambda status, _button: messages.append(status.message))
    assert status.state is JobState.SUCCEEDED
    assert {image.outcome for image in prepared.images} == {Outcome.RENDERED}
    prepared.check_books()
    return list(dict.fromkeys(messages))


def test_status_says_what_the_devices_wait_for(tmp_path: Path) -> None:
    """The store, or the machine's own processor: other things help; when they go on, it is taken back."""
    studio = Studio(tmp_path)
    assert said(studio, "store") == [
        "",
        "waiting for the store: it takes pictures more slowly than the workers can make them",
    ]
    assert said(studio, "encoder") == [
        "",
        "waiting for the processor: it encodes pictures more slowly than the workers can make them",
    ]
