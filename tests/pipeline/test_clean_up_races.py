"""A job that wants the images which are being collected: at whatever call of either, it ends with every image."""

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from infra.stores.memory import MemoryStore
from jobs.wanted_again import wanted_status
from pipeline.clean_up.standing import Stand
from pipeline.clean_up.sweep import ABANDONED_SECONDS, read_sweep
from pipeline.clock import ManualClock
from pipeline.errors import LeaseLostError
from pipeline.job import JobState
from pipeline.layout import sweep_key
from tests.pipeline.cleaned_store import CleanedStudio, Snapshot
from tests.pipeline.driven_job import PreparedJob
from tests.pipeline.mortal_store import DiedError, MortalStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A store with images that nobody needs yet."""

    studio: CleanedStudio
    young: PreparedJob
    """Not submitted yet; wants images of the other, and one of its own."""
    old: PreparedJob
    """Expired."""
    before: Snapshot

    def go_back(self) -> "Scene":
        """The same once more."""
        self.studio.go_back(self.before)
        store = self.studio.store
        return replace(self, young=replace(self.young, store=store), old=replace(self.old, store=store))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An old job of two images, a young one of three."""
    studio = CleanedStudio(tmp_path)
    old, young = studio.made(name="old", prompts=2), studio.prepare(name="young", prompts=3)
    studio.pass_days(31)
    return Scene(studio=studio, young=young, old=old, before=studio.snapshot())


class Cleaner(MortalStore):
    """A clean-up's store, at each call of which something else may happen; but not within the deletion of an image.

    A process that sleeps for minutes between the look at its lease and the one call that follows is what no store
    without conditional deletes can be protected from; afterwards it may sleep as long as it likes.
    """

    def __init__(
        self, store: MemoryStore, clock: ManualClock, naps: Mapping[int, bool], meanwhile: Callable[[], None]
    ) -> None:
        super().__init__(store, {}, clock, naps=naps, meanwhile=meanwhile)

    def delete(self, key: str) -> None:
        """Delete; what happens before it, happens after it."""
        number = self.calls
        if key.startswith("images/") and self._naps.get(number) is False:
            self._naps = {number: True}
        super().delete(key)


def test_clean_up_at_any_call_of_a_driver(scene: Scene) -> None:
    """For every writing call of the young job's driver: a whole clean-up happens just before it."""
    for call in itertools.count():
        now = scene.go_back()
        studio = now.studio
        happened: list[bool] = []

        def meanwhile(studio: CleanedStudio = studio, happened: list[bool] = happened) -> None:
            happened.append(True)
            studio.clean()

        studio.enter(now.young)
        store = MortalStore(studio.store, {}, studio.clock, naps={call: False}, meanwhile=meanwhile)
        assert studio.drive(now.young, store=store).state is JobState.SUCCEEDED
        studio.check_whole(now.young)
        now.young.check_books()
        if not happened:
            break
    assert call > 8


@pytest.mark.parametrize("effect", [False, True])
def test_driver_at_any_call_of_a_clean_up(scene: Scene, *, effect: bool) -> None:
    """For every writing call of a clean-up: it sleeps, the young job is driven to its end, and it wakes up again."""
    overtaken = 0
    for call in itertools.count():
        now = scene.go_back()
        studio = now.studio
        states: list[JobState] = []

        def meanwhile(now: Scene = now, states: list[JobState] = states) -> None:
            now.studio.enter(now.young)
            states.append(now.studio.drive(now.young).state)

        try:
            studio.clean(store=Cleaner(studio.store, studio.clock, {call: effect}, meanwhile))
        except LeaseLostError:
            overtaken += 1
        if not states:
            break
        assert states == [JobState.SUCCEEDED]
        studio.check_whole(now.young)
        now.young.check_books()
    assert call > 15
    assert overtaken > 3


def test_job_that_begins_while_a_clean_up_waits_keeps_what_it_reuses(scene: Scene) -> None:
    """It is seen at the second look; nothing is rendered again, and it need not wait."""
    studio, calls = scene.studio, itertools.count()
    for call in calls:
        now = scene.go_back()
        seen: list[int] = []

        def meanwhile(now: Scene = now, seen: list[int] = seen) -> None:
            sweep = read_sweep(now.studio.store)
            if sweep is not None and sweep.phase == "marked":
                started = now.studio.clock.now_ns()
                now.studio.enter(now.young)
                seen.append(now.studio.drive(now.young).reused)
                assert (now.studio.clock.now_ns() - started) / 1e9 < ABANDONED_SECONDS

        done = studio.clean(store=Cleaner(studio.store, studio.clock, {call: True}, meanwhile))
        if seen:
            break
    assert (seen, done.images, done.spared) == ([2], 0, 2)


@pytest.mark.parametrize("effect", [False, True])
def test_ended_job_that_is_wanted_again_at_any_call(scene: Scene, *, effect: bool) -> None:
    """What `submit` answers of a finished job holds: either its images are spared, or it says that they are gone."""
    for call in itertools.count():
        now = scene.go_back()
        studio = now.studio
        answers: list[bool] = []

        def meanwhile(now: Scene = now, answers: list[bool] = answers) -> None:
            status = wanted_status(now.studio.store, now.old.job.id, clock=now.studio.clock)
            answers.append(status is not None and status.complete)

        with suppress(LeaseLostError):
            studio.clean(store=Cleaner(studio.store, studio.clock, {call: effect}, meanwhile))
        if not answers:
            break
        if answers == [True]:
            studio.check_whole(now.old)
    assert call > 15


def test_end_of_a_clean_up_that_died_is_awaited_and_put_down(scene: Scene) -> None:
    """A driver waits for what may still be on its way, then goes on; the next driver need not wait."""
    studio = scene.studio
    for call in itertools.count():
        now = scene.go_back()
        with suppress(DiedError):
            studio.clean(store=MortalStore(studio.store, {call: True}, studio.clock))
        sweep = read_sweep(studio.store)
        if sweep is not None and sweep.phase == "sweeping":
            break
    studio.enter(now.young)
    assert {one.name: one.stand for one in studio.find().stands}[now.young.job.id] is Stand.LIVES
    started = studio.clock.now_ns()
    assert studio.drive(now.young).state is JobState.SUCCEEDED
    assert (studio.clock.now_ns() - started) / 1e9 > ABANDONED_SECONDS
    assert studio.store.head(sweep_key()) is None
    studio.check_whole(now.young)
    started = studio.clock.now_ns()
    assert studio.drive(now.old).state is JobState.SUCCEEDED
    assert (studio.clock.now_ns() - started) / 1e9 < ABANDONED_SECONDS
