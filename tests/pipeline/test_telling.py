"""What a driver tells while it works: what is wrong, only while it is wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.driving.orders import StopButton
from pipeline.events import BatchCommitted, Remark, WorkerEvent
from pipeline.job import JobState
from pipeline.status import Status, read_status
from tests.pipeline.driven_job import Studio, WatchedCompute
from tests.pipeline.driving.test_drive import SlanderingCompute
from tests.pipeline.mortal_store import MortalStore
from tests.pipeline.test_outages import SilentStore


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def test_loss_of_a_worker_is_told_until_another_one_works(studio: Studio) -> None:
    """The job is RECOVERING with the reason, and then it runs as if nothing had been, but for the count."""
    heard: list[Status] = []
    studio.drive(
        studio.prepare(prompts=20),
        compute=lambda **values: SlanderingCompute(early=True, **values),
        watch=lambda status, _button: heard.append(status),
    )
    told = [(status.state, status.message) for status in heard if status.workers_lost]
    recovering = told.count((JobState.RECOVERING, "a worker was lost: gone"))
    assert recovering > 0
    assert set(told[recovering:]) == {(JobState.RUNNING, ""), (JobState.SUCCEEDED, "")}


def test_silent_store_is_named_as_what_is_waited_for(studio: Studio) -> None:
    """While nothing gets on because of the store, the status says so; afterwards no more."""
    heard: list[Status] = []
    store = SilentStore(studio.store, studio.clock, [(3.0, 63.0)])

    def compute(**values: Any) -> WatchedCompute:
        return WatchedCompute(**(values | {"store": MortalStore(studio.store, {}, studio.clock)}))

    studio.drive(
        studio.prepare(prompts=60),
        compute=compute,
        store=store,
        watch=lambda status, _button: heard.append(status),
    )
    assert any(status.message.startswith("waiting for the store: ") for status in heard)
    assert heard[-1].message == ""


class RemarkingCompute(WatchedCompute):
    """All of its workers decide the same, and one of them something more."""

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """What they tell, and twice what they decided."""
        told = super().events(timeout_seconds=timeout_seconds)
        said = {"compile": "not compiled: on 8 images it would save 4.5 s and take 67.0 s", "tiles": "decoded in tiles"}
        return [
            *told,
            *(
                Remark(worker=event.worker, at_ns=event.record.ended_ns, about=about, message=message)
                for event in told
                if isinstance(event, BatchCommitted)
                for about, message in said.items()
            ),
        ]


def test_what_workers_decided_is_told_once_and_stays_in_the_status(studio: Studio) -> None:
    """However many of them say so; whoever reads the store afterwards finds it too."""
    heard: list[Status] = []
    prepared = studio.prepare(prompts=20)
    studio.drive(prepared, compute=RemarkingCompute, watch=lambda status, _button: heard.append(status))
    said = ("not compiled: on 8 images it would save 4.5 s and take 67.0 s", "decoded in tiles")
    assert heard[0].remarks == ()
    assert heard[-1].remarks == said
    kept = read_status(studio.store, prepared.job.id)
    assert kept is not None
    assert kept.remarks == said


def test_status_at_the_end_counts_no_workers(studio: Studio) -> None:
    """They are gone by then, and so is the time that was left."""
    prepared = studio.prepare(prompts=20)

    def press(status: Status, button: StopButton) -> None:
        if status.rendered:
            button.press(JobState.PAUSED, "")

    paused = studio.drive(prepared, watch=press)
    assert (paused.state, paused.workers_ready, paused.workers_starting) == (JobState.PAUSED, 0, 0)
    assert paused.eta_seconds is None


def test_phases_of_a_start_are_told_in_order(studio: Studio) -> None:
    """Whoever watches sees why nothing is rendered yet."""
    heard: list[str] = []
    studio.drive(studio.prepare(), watch=lambda status, _button: heard.append(status.phase))
    first = list(dict.fromkeys(heard))
    assert first[:3] == ["reading what is there", "starting workers", "waiting for workers"]
