"""Workers that fall silent, droughts of capacity, and jobs that get nowhere."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.assignment import Assignment
from pipeline.driving.orders import StopButton
from pipeline.events import Preparing, WorkerEvent
from pipeline.job import JobState
from pipeline.record import Node
from pipeline.status import Status
from pipeline.working.worker import Worker
from tests.pipeline.driven_job import Studio, WatchedCompute
from tests.pipeline.eventful import Eventful


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


class Stopped(Eventful):
    """Its first worker is stopped by SIGSTOP in the middle of a batch, and goes on much later."""

    def __init__(self, *, resume_at: int, **values: Any) -> None:
        super().__init__(happens={}, **values)
        self._resume_at, self._halted = resume_at, False
        self._kept: list[tuple[Worker, list[Any]]] = []

    def node(self, gpu: int) -> Node:
        """One GPU, one node."""
        return replace(super().node(gpu), node_session=f"{self.session}-{gpu}", gpu_count=1)

    def kill(self, worker: str) -> None:
        """It cannot be reached."""
        self._start(int(worker.rpartition("-")[2]) + 100)

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """The others go on."""
        busy = [name for name, (_, inbox) in self._workers.items() if inbox]
        if not self._halted and busy:
            self._halted = True
            self._kept.append(self._workers.pop(busy[0]))
        told = super().events(timeout_seconds=timeout_seconds)
        if self._askings == self._resume_at:
            for one, inbox in self._kept:
                one.work(inbox.pop(0))
        return told


def test_black_holed_worker_is_noticed_and_its_late_commits_are_duplicates(studio: Studio) -> None:
    """Its work is done by others within seconds; what it commits after all is paid for, shown, and no image twice.

    It commits after the bucket of its task was sealed: that is taken in before the job is over.
    """
    prepared, heard = studio.prepare(prompts=200), []
    status = studio.drive(
        prepared,
        compute=lambda **values: Stopped(resume_at=40, **values),
        watch=lambda status, _button: heard.append(status),
    )
    assert (status.state, status.rendered, status.workers_lost) == (JobState.SUCCEEDED, 200, 1)
    assert any("it said nothing for 12 s" in one.message for one in heard)
    rows = prepared.ledger("images")
    assert sorted(row["image_id"] for row in rows if row["outcome"] == "rendered") == sorted(prepared.ids)
    twice = [row for row in rows if row["outcome"] == "duplicate"]
    assert len(twice) >= 2
    assert sum((row["spent_usd"] for row in twice), Decimal(0)) == prepared.spent("duplicate") > 0
    prepared.check_books()


class LoadsInSilence(WatchedCompute):
    """A worker that has to load another model says nothing for a while.

    Args:
        seconds: how long.
    """

    def __init__(self, *, seconds: int, **values: Any) -> None:
        super().__init__(**values)
        self._seconds, self._silent, self._held = seconds, dict[str, int](), dict[str, str]()
        self.killed: list[str] = []

    def kill(self, worker: str) -> None:
        """Remember it."""
        self.killed.append(worker)
        super().kill(worker)

    def assign(self, worker: str, assignment: Assignment) -> None:
        """It begins to load when it is given other work, as far as this test is concerned."""
        if self._held.setdefault(worker, "synthetic") != assignment.model.name:
            self._held[worker] = assignment.model.name
            self._silent[worker] = self._seconds
        super().assign(worker, assignment)

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """The others go on."""
        away = {name: self._workers.pop(name) for name in list(self._silent) if name in self._workers}
        if away:
            self._clock.advance(1.0)
        told = super().events(timeout_seconds=timeout_seconds)
        self._workers |= away
        self._silent = {name: left - 1 for name, left in self._silent.items() if left > 1}
        return told


@pytest.mark.parametrize(("seconds", "killed"), [(100, False), (140, True)])
def test_worker_that_loads_another_model_may_be_silent_for_two_minutes(
    studio: Studio, seconds: int, *, killed: bool
) -> None:
    """Reading weights may hold up its heartbeat; but not for ever."""
    prepared = studio.prepare(prompts=4, models=2)
    made: list[LoadsInSilence] = []

    def compute(**values: Any) -> LoadsInSilence:
        made.append(LoadsInSilence(seconds=seconds, **values))
        return made[0]

    def enough(_status: Status, button: StopButton) -> None:
        if made and made[0].killed:
            button.press(JobState.PAUSED, "seen enough")

    status = studio.drive(prepared, compute=compute, watch=enough)
    assert bool(made[0].killed) == killed
    assert status.state is (JobState.PAUSED if killed else JobState.SUCCEEDED)
    assert status.workers_lost == len(made[0].killed)


class CompilesInSilence(LoadsInSilence):
    """A worker says that it compiles before its first batch, and nothing more for a while."""

    def assign(self, worker: str, assignment: Assignment) -> None:
        """It begins to compile."""
        if worker not in self._held:
            self._silent[worker] = self._seconds
            self._lost.append(
                Preparing(worker=worker, at_ns=self._clock.now_ns(), what="compile", message="for two at once")
            )
        super().assign(worker, assignment)


def test_worker_that_compiles_may_be_silent_for_two_minutes(studio: Studio) -> None:
    """Compiling may hold up its heartbeat, too."""
    prepared = studio.prepare(prompts=4)
    made: list[LoadsInSilence] = []

    def compute(**values: Any) -> LoadsInSilence:
        made.append(CompilesInSilence(seconds=100, **values))
        return made[0]

    assert studio.drive(prepared, compute=compute).state is JobState.SUCCEEDED
    assert made[0].killed == []


class Absent(WatchedCompute):
    """No worker comes for a while, and then as many as were asked for."""

    def __init__(self, *, seconds: float, **values: Any) -> None:
        super().__init__(**values)
        self._until_ns = self._clock.now_ns() + round(seconds * 1e9)
        self._there = False

    def start(self) -> None:
        """Ask."""
        self.started = True

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """Wait, ten seconds at a time."""
        if not self._there:
            if self._clock.now_ns() < self._until_ns:
                self._clock.advance(10)
                return []
            self._there = True
            super().start()
        return super().events(timeout_seconds=timeout_seconds)


def test_drought_of_capacity_is_said_and_stops_nothing(studio: Studio) -> None:
    """Two hours without any worker, and the job goes on."""
    prepared, heard = studio.prepare(prompts=10), []
    status = studio.drive(
        prepared,
        compute=lambda **values: Absent(seconds=7200, **values),
        watch=lambda status, _button: heard.append(status),
    )
    assert status.state is JobState.SUCCEEDED
    assert "no worker for 12 min: waiting for capacity" in {one.message for one in heard}


class Idle(WatchedCompute):
    """Its workers are ready, live, and never do anything."""

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """Heartbeats."""
        self._clock.advance(10)
        return [event for one, _ in self._workers.values() for event in one.poll(0)]


def test_job_that_gets_nowhere_with_a_worker_ready_is_stopped(studio: Studio) -> None:
    """After half an hour without a commit; the next submit completes it."""
    prepared = studio.prepare(prompts=10)
    status = studio.drive(prepared, compute=Idle)
    assert status.state is JobState.STOPPED
    assert "nothing was committed for 30 min although 2 workers were ready" in status.message
    assert studio.drive(prepared).state is JobState.SUCCEEDED
