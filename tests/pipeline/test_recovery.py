"""Whatever dies, at whatever store call, however often: the job ends with every image, and the books balance."""

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.pipeline.history import check
from tests.pipeline.rehearsal import CAUSES, Plot, Rehearsal, play
from tests.pipeline.stormy import HAPPENINGS, Happening, Weather

SCHEDULES = max(300, settings.default.max_examples if settings.default else 0)
"""In `make test` 300; `make soak` asks for 5,000 by its profile."""


def test_undisturbed_job_renders_every_image_once() -> None:
    """With nobody dying there is one driver, every image once, and balanced books."""
    history = play(Plot())
    assert history.drivers == 1
    check(history)


def test_driver_that_dies_at_any_call_is_replaced() -> None:
    """For every writing call of an undisturbed driver: dying before it, or after it, loses and repeats nothing."""
    for call in itertools.count():
        for effect in (False, True):
            history = play(Plot(driver_deaths={call: effect}))
            check(history)
        if history.drivers == 1:
            break
    assert call > 20


def test_worker_that_dies_at_any_call_costs_a_retry() -> None:
    """For every writing call of the workers: dying before it, or after it, loses and repeats nothing."""
    for call in itertools.count():
        for effect in (False, True):
            history = play(Plot(worker_deaths={call: effect}))
            check(history)
        if not history.deaths:
            break
    assert call > 10


def test_driver_that_sleeps_at_any_call_is_overtaken() -> None:
    """For every writing call: while a driver sleeps before or after it, another one takes over and does the job.

    The sleeper wakes up, finds that out, and what it still does changes nothing that a reader would believe.
    """
    overtaken = 0
    for call in itertools.count():
        for effect in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                rehearsal = Rehearsal(Plot(driver_naps={call: effect}), Path(folder))
                history = rehearsal.to_the_end()
                check(history)
                overtaken += rehearsal.overtaken
        if not history.raced:
            break
    assert overtaken > 40


_DEATHS = st.dictionaries(st.integers(0, 80), st.booleans(), max_size=6)
_WEATHER = st.dictionaries(st.integers(0, 40), st.sampled_from(HAPPENINGS), max_size=6)
_MARKS = st.dictionaries(st.integers(0, 8), st.sampled_from([*CAUSES, "[[oom]]"]), max_size=2)


@settings(max_examples=SCHEDULES, suppress_health_check=list(HealthCheck))
@given(
    prompts=st.integers(1, 9),
    images=st.integers(1, 3),
    batch=st.integers(1, 4),
    models=st.integers(1, 2),
    tuned=st.booleans(),
    workers=st.integers(1, 3),
    driver_deaths=_DEATHS,
    worker_deaths=_DEATHS,
    driver_naps=st.dictionaries(st.integers(0, 80), st.booleans(), max_size=3),
    turns=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    node_outlives_driver=st.booleans(),
    unanswered=st.frozensets(st.integers(0, 60), max_size=3),
    between=_WEATHER,
    during=_WEATHER,
    marks=_MARKS,
)
def test_any_schedule_of_deaths_ends_with_every_image(
    *,
    prompts: int,
    images: int,
    batch: int,
    models: int,
    tuned: bool,
    workers: int,
    driver_deaths: dict[int, bool],
    worker_deaths: dict[int, bool],
    driver_naps: dict[int, bool],
    turns: list[int],
    node_outlives_driver: bool,
    unanswered: frozenset[int],
    between: dict[int, Happening],
    during: dict[int, Happening],
    marks: dict[int, str],
) -> None:
    """Hundreds of schedules: any drivers and workers die at any calls, in any order of work and in any weather.

    Drivers sleep at any calls, while others take over, do the job or die of it, and wake up again.
    Notices that suffice and that do not, recalled ones, nodes that are reclaimed, workers that were given up and go on,
    responses that are lost, memories that fill up, and requests that fail, of one or two models, with batch sizes that
    are said or searched for: every image is there or has failed for its own reason, and the books balance.
    """
    check(
        play(
            Plot(
                prompts=prompts,
                images=images,
                batch=batch,
                models=models,
                tuned=tuned,
                workers=workers,
                driver_deaths=driver_deaths,
                worker_deaths=worker_deaths,
                driver_naps=driver_naps,
                turns=tuple(turns),
                node_outlives_driver=node_outlives_driver,
                unanswered=unanswered,
                weather=Weather(between=between, during=during),
                marks=marks,
            )
        )
    )
