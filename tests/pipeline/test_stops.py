"""What stops a job, and that the next submit goes on where it stood."""

import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.driving.orders import StopButton
from pipeline.job import JobState, Settings
from pipeline.status import Status, read_status
from tests.pipeline.driven_job import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


@pytest.mark.parametrize("node_stays", [True, False])
def test_budget_stops_a_job_that_a_raised_one_completes(studio: Studio, *, node_stays: bool) -> None:
    """Spending carries over, nothing is rendered twice, also when the second driver meets the same node again."""
    prepared = studio.prepare(prompts=20)
    session = "stays" if node_stays else None
    stopped = studio.drive(prepared, settings=Settings(nodes=(), budget_usd=Decimal("0.001")), session=session)
    assert stopped.state is JobState.STOPPED
    assert "raise budget.usd" in stopped.message
    assert 0 < stopped.rendered < 20
    assert Decimal("0.0007") < stopped.usd < Decimal("0.0013"), "no more than the batches in flight come on top"
    prepared.check_books()
    studio.clock.advance(3600)
    unmoved = studio.drive(prepared, settings=Settings(nodes=(), budget_usd=stopped.usd), session=session)
    assert not studio.workers_were_started
    assert (unmoved.state, unmoved.rendered) == (JobState.STOPPED, stopped.rendered)
    assert unmoved.usd >= stopped.usd
    done = studio.drive(prepared, settings=Settings(nodes=(), budget_usd=Decimal(1)), session=session)
    assert (done.state, done.rendered) == (JobState.SUCCEEDED, 20)
    assert stopped.usd < done.usd < Decimal("0.1"), "the hour in which nobody drove the job cost nothing"
    prepared.check_rendered_once()
    prepared.check_books()


def test_stop_button_pauses_and_the_next_submit_completes(studio: Studio) -> None:
    """What was rendered until then stays, and the status in the store says how the job stands."""
    prepared = studio.prepare(prompts=20)

    def press(status: Status, button: StopButton) -> None:
        if status.rendered:
            button.press(JobState.PAUSED, "Ctrl-C; submit again to go on")

    paused = studio.drive(prepared, watch=press)
    assert paused.state is JobState.PAUSED
    assert paused.message == "Ctrl-C; submit again to go on"
    assert 0 < paused.rendered < 20
    assert read_status(studio.store, prepared.job.id) == paused
    done = studio.drive(prepared)
    assert (done.state, done.rendered, done.rendered_now) == (JobState.SUCCEEDED, 20, 20 - paused.rendered)
    assert done.message == ""
    prepared.check_rendered_once()
    prepared.check_books()


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Settings(nodes=(), deadline=datetime(2027, 1, 15, 8, 0, 5, tzinfo=UTC)), "deadline 2027-01-15T08:00:05+00:00"),
        (Settings(nodes=(), usd_per_image=Decimal("0.0000001")), "budget.usd_per_image of $0.0000001"),
    ],
    ids=["deadline", "usd_per_image"],
)
def test_every_limit_stops_a_job_and_says_how_to_go_on(studio: Studio, limits: Settings, says: str) -> None:
    """The world begins at 08:00 on 2027-01-15; a cost per image is looked at from 16 images on."""
    prepared = studio.prepare(prompts=40)
    stopped = studio.drive(prepared, settings=limits)
    assert stopped.state is JobState.STOPPED
    assert says in stopped.message
    assert "submit again" in stopped.message
    assert 0 < stopped.rendered < 40
    assert studio.drive(prepared).state is JobState.SUCCEEDED
    prepared.check_rendered_once()


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    pauses=st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 7200)), max_size=4),
    prompts=st.integers(1, 12),
    images=st.integers(1, 3),
)
def test_job_paused_again_and_again_renders_everything_once(
    pauses: list[tuple[int, bool, int]], prompts: int, images: int
) -> None:
    """Whenever it is paused, for however long, on nodes that stay or go: every image once, and balanced books."""
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder))
        prepared = studio.prepare(prompts=prompts, images=images)
        for rendered, node_stays, seconds in [*pauses, (100, True, 0)]:

            def press(status: Status, button: StopButton, after: int = rendered) -> None:
                if status.rendered_now >= after:
                    button.press(JobState.PAUSED, "enough")

            status = studio.drive(prepared, watch=press, session="stays" if node_stays else None)
            prepared.check_books()
            studio.clock.advance(seconds)
        assert status.state is JobState.SUCCEEDED
        prepared.check_rendered_once()


def test_button_pressed_before_there_is_a_driver_counts(studio: Studio) -> None:
    """Ctrl-C while the manifest is still being read renders nothing."""
    prepared = studio.prepare()
    paused = studio.drive(prepared, watch=lambda _status, button: button.press(JobState.PAUSED, "early"))
    assert (paused.state, paused.rendered) == (JobState.PAUSED, 0)
    assert studio.drive(prepared).state is JobState.SUCCEEDED
