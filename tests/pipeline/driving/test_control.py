"""What people ask of a job through its store: whoever asks at once, whatever answers get lost."""

import logging
from decimal import Decimal

import pytest

from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.driving.control import LOOK_SECONDS, Order, StoredOrders, ask, latest_settings, put_settings, read_control
from pipeline.driving.orders import StopButton
from pipeline.errors import AlreadyExistsError, JobRefusedError, StoreUnavailableError
from pipeline.job import JobState, Settings
from pipeline.layout import control_key
from pipeline.ports import PutMode

JOB = "demo-0123456789abcdef"


class Busy(MemoryStore):
    """A store in which somebody else asks for something just before we write."""

    others: tuple[int, ...] = ()
    """The settings that others ask for, one at each of our writes."""
    down = False

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        if self.others and key == control_key(JOB):
            number, *rest = self.others
            self.others = ()
            ask(self, JOB, by="other", at="", settings=number)
            self.others = tuple(rest)
        return super().put(key, body, mode=mode, if_match=if_match)

    def get(self, key: str) -> bytes:
        if self.down:
            raise StoreUnavailableError("no answer")
        return super().get(key)


class Losing(MemoryStore):
    """A store whose answer to one conditional write is lost, and that refuses the repeated one."""

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        super().put(key, body, mode=mode, if_match=if_match)
        raise AlreadyExistsError("it holds another ETag by now: ours")


def orders(store: MemoryStore, clock: ManualClock, button: StopButton | None = None) -> StoredOrders:
    """Of a driver that has settings 1."""
    return StoredOrders(store, JOB, button=button or StopButton(), clock=clock, number=1, settings=Settings(nodes=()))


def test_nobody_asked_for_anything() -> None:
    """Then a job runs."""
    assert read_control(MemoryStore(), JOB).order is Order.RUN


def test_orders_of_two_who_ask_at_once_both_stand() -> None:
    """What one asks for is not undone by what the other asks for."""
    store = Busy()
    ask(store, JOB, by="me", at="t0", order=Order.RUN)
    store.others = (1, 2, 3)
    asked = ask(store, JOB, by="me", at="t1", order=Order.PAUSE)
    assert (asked.order, asked.settings, asked.by) == (Order.PAUSE, 3, "me")
    assert read_control(store, JOB) == asked
    assert asked.number == 5


def test_asking_for_what_stands_already_writes_nothing() -> None:
    """So a lost answer is made good by asking again."""
    store = Losing()
    asked = ask(store, JOB, by="me", at="t", order=Order.CANCEL)
    assert (asked.number, asked.order) == (1, Order.CANCEL)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"schema": 1, "order": "dance"}', b'{"schema": 2}', b"\xff"])
def test_damaged_control_is_refused_and_does_not_stop_a_driver(body: bytes) -> None:
    """Who asks is told; the driver goes on with what it read last."""
    store, clock = MemoryStore(), ManualClock()
    ask(store, JOB, by="me", at="t", order=Order.PAUSE)
    driver = orders(store, clock)
    driver.look()
    store.put(control_key(JOB), body)
    with pytest.raises(JobRefusedError, match=r"control\.json"):
        ask(store, JOB, by="me", at="t", order=Order.RUN)
    clock.advance(LOOK_SECONDS)
    driver.look()
    assert driver.paused


def test_driver_hears_of_orders_within_seconds() -> None:
    """It looks every two seconds, not more often."""
    store, clock = MemoryStore(), ManualClock()
    driver = orders(store, clock)
    driver.look()
    assert (driver.stop(), driver.paused) == (None, False)
    ask(store, JOB, by="ann@desk", at="t", order=Order.PAUSE)
    driver.look()
    assert driver.stop() is None, "it was not due yet"
    clock.advance(LOOK_SECONDS)
    driver.look()
    stop = driver.stop()
    assert stop is not None
    assert stop[0] is JobState.PAUSED
    assert f"paused by ann@desk; `spotrender resume {JOB}` goes on" in stop[1]
    ask(store, JOB, by="ann@desk", at="t", order=Order.CANCEL)
    clock.advance(LOOK_SECONDS)
    driver.look()
    assert (driver.stop() or ("",))[0] is JobState.CANCELED
    ask(store, JOB, by="ann@desk", at="t", order=Order.RUN)
    clock.advance(LOOK_SECONDS)
    driver.look()
    assert driver.stop() is None


def test_order_is_logged_once_whatever_else_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    """Settings that change while a job is paused are no order to pause."""
    caplog.set_level(logging.INFO)
    store, clock = MemoryStore(), ManualClock()
    asked = orders(store, clock)
    put_settings(store, JOB, Settings(nodes=()))
    put_settings(store, JOB, Settings(nodes=(), budget_usd=Decimal(30)))
    for order, settings in ((Order.PAUSE, None), (None, 2), (Order.RUN, None), (Order.CANCEL, None)):
        ask(store, JOB, by="ann@desk", at="", order=order, settings=settings)
        clock.advance(LOOK_SECONDS)
        asked.look()
    said = [record.getMessage() for record in caplog.records if record.name == "pipeline.driving.control"]
    assert said == [
        "asked to pause by ann@desk",
        "settings 2 are taken up",
        "asked to run by ann@desk",
        "asked to cancel by ann@desk",
    ]


def test_store_that_is_down_changes_no_order() -> None:
    """What was asked last holds until something else is read."""
    store, clock = Busy(), ManualClock()
    ask(store, JOB, by="me", at="t", order=Order.PAUSE)
    driver = orders(store, clock)
    driver.look()
    store.down = True
    clock.advance(60)
    driver.look()
    assert driver.paused


def test_button_comes_before_the_order() -> None:
    """Who sits at the driver's terminal ends it, also while it stands by."""
    store, clock, button = MemoryStore(), ManualClock(), StopButton()
    ask(store, JOB, by="me", at="t", order=Order.PAUSE)
    driver = orders(store, clock, button)
    driver.look()
    button.press(JobState.PAUSED, "Ctrl-C")
    assert driver.stop() == (JobState.PAUSED, "Ctrl-C")
    assert not driver.paused


def test_changed_settings_are_told_once() -> None:
    """The highest number holds, however many came since the last look."""
    store, clock = MemoryStore(), ManualClock()
    assert put_settings(store, JOB, Settings(nodes=())) == 1
    driver = orders(store, clock)
    for usd in (1, 2, 3):
        number = put_settings(store, JOB, Settings(nodes=(), budget_usd=Decimal(usd)))
        ask(store, JOB, by="me", at="t", settings=number)
    driver.look()
    changed = driver.changed_settings()
    assert changed is not None
    assert changed.budget_usd == 3
    assert driver.settings == changed
    assert driver.changed_settings() is None


def test_settings_that_did_not_change_are_no_new_version() -> None:
    """And two who change them at once get two versions."""
    store = MemoryStore()
    assert put_settings(store, JOB, Settings(nodes=())) == 1
    assert put_settings(store, JOB, Settings(nodes=())) == 1
    assert put_settings(store, JOB, Settings(nodes=(), budget_usd=Decimal(1))) == 2
    assert latest_settings(store, JOB) == (2, Settings(nodes=(), budget_usd=Decimal(1)))
    with pytest.raises(JobRefusedError, match="no settings"):
        latest_settings(store, "other-0123456789abcdef")
