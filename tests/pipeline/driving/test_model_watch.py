"""Models that cannot be loaded, by nobody or by one worker alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ModelUnavailableError
from pipeline.job import JobState
from pipeline.model import Model
from pipeline.ports import Renderer
from tests.pipeline.driven_job import PreparedJob, Studio, WatchedCompute


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def two_models(studio: Studio) -> tuple[PreparedJob, Model]:
    """A job of which half the variants need another model."""
    prepared = studio.prepare(prompts=8)
    other: Model = replace(prepared.model, name="other", revision="synthetic:2")
    job = replace(prepared.job, models=(prepared.model, other), variant_models=(other.name,))
    return replace(prepared, job=job), other


def test_first_model_that_nobody_can_load_does_not_stop_the_others(studio: Studio) -> None:
    """A worker stays for the models that it can load."""
    prepared, _other = two_models(studio)
    first = prepared.model.revision

    class Picky(WatchedCompute):
        def load(self, model: Model) -> Renderer:
            """Only the other model."""
            if model.revision == first:
                raise ModelUnavailableError("no such file")
            return super().load(model)

    def compute(**values: Any) -> WatchedCompute:
        made = Picky(**values)
        made.go_on = True
        return made

    status = studio.drive(prepared, compute=compute)
    assert (status.state, status.rendered) == (JobState.SUCCEEDED, 8)


def test_model_that_nobody_can_load_stops_the_job_when_nothing_else_is_left(studio: Studio) -> None:
    """With the reason, resumable, no image failed."""
    prepared, other = two_models(studio)

    class Picky(WatchedCompute):
        def load(self, model: Model) -> Renderer:
            """Only the first model."""
            if model.revision == other.revision:
                raise ModelUnavailableError("no such file")
            return super().load(model)

    status = studio.drive(prepared, compute=Picky)
    assert (status.state, status.failed) == (JobState.STOPPED, 0)
    assert "other: no such file" in status.message
    assert studio.drive(prepared).state is JobState.SUCCEEDED


def test_worker_that_alone_cannot_load_a_model_is_replaced(studio: Studio) -> None:
    """What others could load is no fault of the model."""
    prepared, other = two_models(studio)
    loads: list[str] = []

    class Picky(WatchedCompute):
        def load(self, model: Model) -> Renderer:
            """The second process cannot load the other model."""
            loads.append(model.revision)
            if model.revision == other.revision and loads.count(other.revision) == 2:
                raise ModelUnavailableError("disk full")
            return super().load(model)

    status = studio.drive(prepared, compute=Picky)
    assert (status.state, status.rendered, status.workers_lost) == (JobState.SUCCEEDED, 8, 0)
