"""What a driver tells while it works: what is wrong, only while it is wrong."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.job import JobState
from pipeline.orders import StopButton
from pipeline.status import Status
from tests.pipeline.driven_job import Studio, WatchedCompute
from tests.pipeline.stepwise import MortalStore
from tests.pipeline.test_drive import SlanderingCompute
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
