"""A job that is driven to its end, through all deaths, naps and weather, in a world without threads."""

import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.driving.orders import StopButton
from pipeline.driving.run_job import run_job
from pipeline.errors import LeaseLostError
from pipeline.job import JobState, job_to_json
from pipeline.layout import job_key
from pipeline.pricing.pricing import Pricing
from pipeline.record import Cause
from pipeline.status import Status
from tests.pipeline.history import ENOUGH_DEATHS, History
from tests.pipeline.mortal_store import DiedError, MortalStore
from tests.pipeline.small_job import small_job
from tests.pipeline.stepwise import world
from tests.pipeline.stormy import StormyCompute, Weather

CAUSES = {
    "[[bad-request]]": Cause.BAD_REQUEST,
    "[[device-fault]]": Cause.BAD_REQUEST,
    "[[black]]": Cause.BAD_OUTPUT,
    "[[blank]]": Cause.SAFETY_BLANKED,
    "[[huge]]": Cause.OUT_OF_MEMORY,
}
"""What a prompt may ask for, and what becomes of its images."""

SLEEPERS = 2
"""So many drivers sleep at a time, at most, while another one is awake."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What happens to a job. Calls are numbered over the writing calls of all drivers, or all workers, together."""

    prompts: int = 5
    """Rows."""
    images: int = 2
    """Of each."""
    batch: int = 2
    models: int = 1
    """The rows take turns."""
    tuned: bool = False
    """Whether workers are to find the best batch size."""
    workers: int = 2
    """At a time."""
    driver_deaths: Mapping[int, bool] = field(default_factory=dict)
    """Calls at which a driver dies, and whether they take effect first."""
    driver_naps: Mapping[int, bool] = field(default_factory=dict)
    """Calls at which a driver sleeps while another one drives, and whether they take effect first."""
    worker_deaths: Mapping[int, bool] = field(default_factory=dict)
    """Calls at which a worker dies, and whether they take effect first."""
    turns: tuple[int, ...] = (0,)
    """Whose turn it is."""
    node_outlives_driver: bool = False
    """Whether the next driver meets the same nodes."""
    unanswered: frozenset[int] = frozenset()
    """Calls of workers that take effect and whose response is lost."""
    unanswered_drivers: frozenset[int] = frozenset()
    """The same of drivers."""
    weather: Weather = field(default_factory=Weather)
    """What else happens."""
    marks: Mapping[int, str] = field(default_factory=dict)
    """Row -> what its prompt asks for beside a picture."""
    pricing: Callable[[ManualClock], Pricing | None] = field(default=lambda _clock: None)
    """Of each driver."""


class Rehearsal:
    """One plot, played.

    Args:
        plot: what happens.
        folder: for requests files.
    """

    def __init__(self, plot: Plot, folder: Path) -> None:
        self._plot = plot
        self._clock = ManualClock()
        self._store = MemoryStore(now_ns=self._clock.now_ns)
        self._job, self._settings, self._table, self._model = small_job(
            folder,
            prompts=plot.prompts,
            images=plot.images,
            batch=plot.batch,
            prompt=lambda row: f"prompt {row} {plot.marks.get(row, '')}",
            options={"seconds_per_image": "0.3"},
            models=plot.models,
        )
        if plot.tuned:
            models = tuple(replace(model, batch_size=None) for model in self._job.models)
            self._job = replace(self._job, models=models, sizes=replace(self._job.sizes, tuned=True))
            self._model = models[0]
        self._store.put(job_key(self._job.id), job_to_json(self._job))
        self._for_drivers = MortalStore(
            self._store,
            plot.driver_deaths,
            self._clock,
            unanswered=plot.unanswered_drivers,
            naps=plot.driver_naps,
            meanwhile=self._while_one_sleeps,
        )
        self._for_workers = MortalStore(self._store, plot.worker_deaths, self._clock, unanswered=plot.unanswered)
        self._attempts, self._order = itertools.count(), itertools.cycle(plot.turns)
        self._asleep = self._drivers = self._deaths = self._naps = 0
        self.overtaken = 0
        """Drivers that woke up to find the job in other hands."""

    def to_the_end(self) -> History:
        """Drive, again and again while the driver comes to a bad end."""
        while (status := self._drive()) is None:
            self._clock.advance(30)
        plot = self._plot
        history = History(
            store=self._store,
            job=self._job,
            table=self._table,
            drivers=self._drivers,
            deaths=self._deaths,
            raced=plot.weather.raced or self._naps > 0,
            fails={row: CAUSES[mark] for row, mark in plot.marks.items() if mark in CAUSES and row < plot.prompts},
        )
        wanted = JobState.COMPLETED_WITH_FAILURES if history.fails else JobState.SUCCEEDED
        assert status.state is wanted or history.deaths >= ENOUGH_DEATHS, status
        assert status.state in {JobState.COMPLETED_WITH_FAILURES, JobState.SUCCEEDED}, status
        return history

    def _drive(self) -> Status | None:
        """One driver; None when it came to a bad end."""
        self._drivers += 1
        compute = StormyCompute(
            weather=self._plot.weather,
            workers=self._plot.workers,
            store=self._for_workers,
            clock=self._clock,
            model=self._model,
            turns=self._order,
            session="node" if self._plot.node_outlives_driver else f"node{self._drivers}",
        )
        around = world(self._for_drivers, compute, self._clock, self._attempts)
        around = replace(around, pricing=self._plot.pricing(self._clock))
        try:
            return run_job(self._job, self._settings, self._table, around, StopButton())
        except DiedError:
            return None
        except LeaseLostError:
            self.overtaken += 1
            return None
        finally:
            self._deaths += compute.deaths

    def _while_one_sleeps(self) -> None:
        """Another driver waits for the lease and drives, until it is done, or dies, or is overtaken in its turn."""
        if self._asleep < SLEEPERS:
            self._asleep, self._naps = self._asleep + 1, self._naps + 1
            self._drive()
            self._asleep -= 1


def play(plot: Plot) -> History:
    """What is left of a job after all that."""
    with tempfile.TemporaryDirectory() as folder:
        return Rehearsal(plot, Path(folder)).to_the_end()
