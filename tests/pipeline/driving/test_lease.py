"""The lease: one holder at a time, by the observer's own clock alone, whatever answers get lost."""

import pytest

from pipeline.clock import ManualClock
from pipeline.driving.lease import RENEW_SECONDS, TTL_SECONDS
from pipeline.driving.lease_state import read_lease
from pipeline.errors import JobRefusedError, LeaseLostError, StoreUnavailableError
from pipeline.layout import lease_key, status_key
from tests.pipeline.lease_place import JOB, Place


@pytest.fixture
def place() -> Place:
    """An empty store."""
    return Place()


def test_second_driver_is_told_who_holds_the_lease(place: Place) -> None:
    """One takes it, the other learns host and pid, and the holder stays as long as it renews."""
    first, second = place.driver("left"), place.driver("right")
    assert first.try_take() is None
    for _ in range(100):
        holder = second.try_take()
        assert holder is not None
        assert str(holder.state.owner) == "left, pid 1"
        place.clock.advance(RENEW_SECONDS)
        first.renew()
    assert first.held
    assert not second.held


def test_lease_expires_on_the_observers_clock_alone(place: Place) -> None:
    """However wrong the clocks of holder and store are: what counts is how long the observer saw no change."""
    theirs, ours = ManualClock(5), ManualClock(9_000_000_000_000_000_000)
    first, second = place.driver(clock=theirs), place.driver(clock=ours)
    assert first.try_take() is None
    theirs.advance(100_000)
    assert place.take_in_time(second, clock=ours) == TTL_SECONDS
    assert (second.held, second.fence) == (True, 2)


def test_released_lease_is_free_at_once_and_the_fence_goes_up(place: Place) -> None:
    """Nobody waits for a driver that has ended, and no two drivers have the same number."""
    fences = []
    for _ in range(3):
        lease = place.driver()
        assert lease.try_take() is None
        fences.append(lease.fence)
        lease.release()
        assert not lease.held
    assert fences == [1, 2, 3]


def test_fence_goes_above_what_any_status_has(place: Place) -> None:
    """Drivers of before there were leases, and whoever repaired the job, have numbers too."""
    place.store.put(status_key(JOB, 7), b"{}")
    lease = place.driver()
    assert lease.try_take() is None
    assert lease.fence == 8
    assert lease.raise_fence() == 9
    lease.renew()


def test_dead_owner_is_not_waited_for(place: Place) -> None:
    """A process that is surely gone from this machine holds nothing."""
    assert place.driver("here").try_take() is None
    assert place.driver(is_dead=lambda owner: owner.host == "there").try_take() is not None
    assert place.driver(is_dead=lambda owner: owner.host == "here").try_take() is None


def test_answer_lost_while_taking_is_made_good(place: Place) -> None:
    """The write took effect and nobody said so: the next try finds its own token; others find it held."""
    first, second = place.driver(), place.driver()
    place.store.lossy = True
    with pytest.raises(StoreUnavailableError):
        first.try_take()
    place.store.lossy = False
    assert second.try_take() is not None
    assert first.try_take() is None
    assert first.held


def test_answer_lost_while_renewing_is_made_good(place: Place) -> None:
    """The ETag is another one then, the token is the same: the holder goes on."""
    lease = place.driver()
    assert lease.try_take() is None
    place.store.lossy = True
    with pytest.raises(StoreUnavailableError):
        lease.renew()
    place.store.lossy = False
    lease.renew()
    lease.confirm()
    assert lease.held


def test_driver_goes_on_after_an_outage_of_ten_minutes(place: Place) -> None:
    """Also when another one stands by: time in which nobody could look at the lease does not count."""
    first, second = place.driver(), place.driver()
    assert first.try_take() is None
    assert second.try_take() is not None
    place.store.away = True
    for _ in range(600):
        place.clock.advance(1)
        first.beat()
        with pytest.raises(StoreUnavailableError):
            second.try_take()
    assert first.held, "nobody said that it is another's"
    with pytest.raises(StoreUnavailableError):
        first.check()
    place.store.away = False
    assert second.try_take() is not None
    first.check()
    assert second.try_take() is not None
    assert first.held


def test_driver_that_was_taken_over_stops_for_good(place: Place) -> None:
    """It says who drives now, and can neither renew, nor confirm, nor give back what is another's."""
    first, second = place.driver(), place.driver("next")
    assert first.try_take() is None
    place.take_in_time(second)
    for action in (first.check, first.confirm, first.renew, lambda: first.fence):
        with pytest.raises(LeaseLostError, match="driven by next, pid 2 now"):
            action()
    first.beat()
    first.release()
    second.confirm()
    third = place.driver()
    assert third.try_take() is not None, "the one that was taken over released nothing"


def test_lease_that_somebody_removed_is_written_again(place: Place) -> None:
    """An absent lease is nobody's, so its holder goes on, and others still meet it."""
    lease = place.driver()
    assert lease.try_take() is None
    place.store.delete(lease_key(JOB))
    lease.confirm()
    assert place.driver().try_take() is not None
    lease.renew()


@pytest.mark.parametrize("body", [b"", b"null", b"[1]", b'{"schema": 1}', b'{"schema": 1, "owner": 3}', b"\xff"])
def test_damaged_lease_is_waited_for_and_taken_over(place: Place, body: bytes) -> None:
    """Whatever stands there: nobody renews it, so it expires."""
    place.store.put(lease_key(JOB), body)
    lease = place.driver()
    assert place.take_in_time(lease) == TTL_SECONDS
    lease.confirm()


def test_lease_of_a_newer_version_is_left_alone(place: Place) -> None:
    """What this version does not understand it does not take over."""
    place.store.put(lease_key(JOB), b'{"schema": 99}')
    with pytest.raises(JobRefusedError, match="newer version"):
        place.driver().try_take()


def test_only_one_of_many_takes_an_expired_lease(place: Place) -> None:
    """All see it expire in the same instant; the write under its ETag lets one through."""
    dead, many = place.driver(), [place.driver() for _ in range(5)]
    assert dead.try_take() is None
    for _ in range(round(TTL_SECONDS)):
        assert [lease.look()[1] for lease in many] == [False] * 5
        place.clock.advance(1)
    assert [lease.look()[1] for lease in many] == [True] * 5
    assert [lease.try_take() is None for lease in many].count(True) == 1


def test_store_without_conditions_is_read_back(place: Place) -> None:
    """Best effort: the last who wrote has it, and the other finds out before it drives, or at its next renewal."""
    place.store.careless = True
    first, second = place.driver(), place.driver()
    assert first.try_take() is None
    place.take_in_time(second)
    assert second.held
    with pytest.raises(LeaseLostError):
        first.renew()
    second.renew()
    assert read_lease(place.store, JOB).state.token == "token2"  # type: ignore[union-attr]
