"""Who follows a driver: it takes over when that dies, ends with it when it ends, and always says what it waits for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from infra.stores.memory import MemoryStore
from jobs.following import PATIENCE_SECONDS, Following
from pipeline.clock import ManualClock
from pipeline.driving.lease import TTL_SECONDS, Lease
from pipeline.driving.lease_state import Owner
from pipeline.driving.orders import StopButton
from pipeline.errors import StoreUnavailableError
from pipeline.job import JobState
from pipeline.layout import status_key
from pipeline.ports import ObjectInfo
from pipeline.status import Status, status_to_json
from tests.jobs.made_job import make_job, status_of


class Scene(ManualClock):
    """A driver at work, and one that follows; `script` says what happens in each second."""

    def __init__(self, script: dict[int, Callable[[], object]]) -> None:
        super().__init__()
        self.store = Outage()
        self.job, _ = make_job(self.store, state=JobState.RUNNING)
        self.driver = Lease(self.store, self.job.id, owner=Owner(host="far", pid=7), token="d", clock=self)
        assert self.driver.try_take() is None
        self.renews = True
        self.script, self.second = script, 0
        self.button = StopButton()
        self.said: list[str] = []
        self.seen: list[Status] = []
        self.tell(JobState.RUNNING)

    def sleep(self, seconds: float) -> None:
        """Time passes for both."""
        super().sleep(seconds)
        self.second += 1
        if self.renews:
            self.driver.beat()
        self.script.get(self.second, lambda: None)()

    def tell(self, state: JobState) -> None:
        """The driver says how the job stands."""
        status = replace(status_of(self.job, total=3, rendered=1, state=state), fence=self.driver.fence)
        self.store.put(status_key(self.job.id, status.fence), status_to_json(status))

    def follow(self, *, is_dead: Callable[[Owner], bool] = lambda _owner: False) -> tuple[Status | None, Lease]:
        """Until it is over."""
        lease = Lease(self.store, self.job.id, owner=Owner(host="here", pid=8), token="f", clock=self, is_dead=is_dead)
        following = Following(
            lease, self.store, clock=self, button=self.button, on_status=self.seen.append, say=self.said.append
        )
        return following.until_taken_or_ended(), lease


class Outage(MemoryStore):
    """A store that may be away for whoever reads."""

    away = False

    def head(self, key: str) -> ObjectInfo | None:
        if self.away:
            raise StoreUnavailableError("no answer")
        return super().head(key)


def test_free_job_is_taken_without_a_word() -> None:
    """Nothing is followed where nobody drives."""
    scene = Scene({})
    scene.driver.release()
    ended, lease = scene.follow()
    assert (ended, lease.held, scene.said, scene.second) == (None, True, [], 0)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.STOPPED, JobState.CANCELED])
def test_follower_ends_with_the_driver(state: JobState) -> None:
    """In the state in which that left the job, although the lease is free then."""
    scene = Scene({})
    scene.script = {5: lambda: scene.tell(state), 6: scene.driver.release}
    ended, lease = scene.follow()
    assert ended is not None
    assert (ended.state, lease.held) == (state, False)
    assert scene.said == [f"{scene.job.id} is driven by far, pid 7: following"]
    assert scene.seen[-1] == ended


def test_paused_driver_is_followed_until_it_goes() -> None:
    """One that waits is no end; one that was interrupted is."""
    scene = Scene({})
    scene.script = {5: lambda: scene.tell(JobState.PAUSED), 60: scene.driver.release}
    ended, _ = scene.follow()
    assert ended is not None
    assert (ended.state, scene.second) == (JobState.PAUSED, 60)


def test_silent_driver_is_taken_over_after_its_time_and_that_is_said_before() -> None:
    """A driver on another machine that died says nothing: its lease runs out."""
    scene = Scene({})
    scene.renews = False
    ended, lease = scene.follow()
    assert (ended, lease.held, scene.second) == (None, True, TTL_SECONDS)
    assert "far, pid 7) is silent; this one takes over when that has lasted 15 s" in scene.said[1]
    assert "is gone: taking over" in scene.said[2]


def test_driver_that_died_on_this_machine_is_taken_over_at_once() -> None:
    """Nobody waits for a process that is gone."""
    scene = Scene({})
    dead: list[bool] = []
    scene.script = {3: lambda: dead.append(True)}
    ended, lease = scene.follow(is_dead=lambda _owner: bool(dead))
    assert (ended, lease.held, scene.second) == (None, True, 3)


def test_driver_that_raised_its_fence_is_still_followed() -> None:
    """It goes on after a pause; the state of the round before is no end."""
    scene = Scene({})

    def new_round() -> None:
        scene.tell(JobState.STOPPED)
        scene.driver.raise_fence()

    scene.script = {4: new_round, 9: lambda: scene.tell(JobState.SUCCEEDED), 12: scene.driver.release}
    ended, _ = scene.follow()
    assert ended is not None
    assert (ended.state, ended.fence, scene.second) == (JobState.SUCCEEDED, 3, 12)


def test_outage_is_waited_out_and_told_and_does_not_cost_the_driver_its_job() -> None:
    """Both could not reach the store for some minutes."""
    scene = Scene({})

    def away() -> None:
        scene.store.away, scene.renews = True, False

    def back() -> None:
        scene.store.away, scene.renews = False, True

    scene.script = {3: away, 300: back, 310: lambda: scene.tell(JobState.SUCCEEDED), 311: scene.driver.release}
    ended, _ = scene.follow()
    assert ended is not None
    assert "waiting for the store: no answer" in scene.said


def test_store_that_stays_away_is_told_in_the_end() -> None:
    """Whoever follows has waited long enough then."""
    scene = Scene({})

    def away() -> None:
        scene.store.away, scene.renews = True, False

    scene.script = {2: away}
    with pytest.raises(StoreUnavailableError):
        scene.follow()
    assert scene.second > PATIENCE_SECONDS


def test_interrupted_follower_says_that_the_driver_goes_on() -> None:
    """Ctrl-C ends the one that watches."""
    scene = Scene({})
    scene.script = {4: lambda: scene.button.press(JobState.PAUSED, "Ctrl-C")}
    with pytest.raises(KeyboardInterrupt):
        scene.follow()
    assert scene.said[-1] == f"no longer following {scene.job.id}; its driver goes on"
    scene.driver.confirm()
