"""A whole job behind faults ends with every image once, and no image is failed for what its store did."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from infra.stores.retry import RetryPolicy
from pipeline.errors import StoreRefusedError
from pipeline.job import JobState
from pipeline.record import Outcome
from pipeline.status import Status
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.submitted_job import check_each_image_once, records_of, small_job
from tests.infra.servers import S3Server, moto_server

RATES = {
    "slow_down": 0.05,
    "internal_error": 0.03,
    "conflict": 0.05,
    "reset": 0.02,
    "reset_in_request": 0.02,
    "lost_answer": 0.05,
    "cut_body": 0.02,
    "spoil_body": 0.01,
}
"""A fifth of all requests."""


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    """Honours conditional puts."""
    with moto_server() as server:
        yield server


@pytest.fixture
def proxy(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """What the environment of driver and workers points to."""
    with fault_proxy(moto, seed=3) as proxy:
        for name, value in proxy.server.environment().items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores that give up at once, so that a short outage reaches what is built for a long one."""
    policy = partial(RetryPolicy, attempts=2, first_wait_seconds=0.05, answer_seconds=1.0)
    monkeypatch.setattr("infra.stores.s3.RetryPolicy", policy)


class Incident:
    """Calls something once so many images are there, and keeps what the status said from then on.

    Args:
        images: how many.
        happens: what to call.
    """

    def __init__(self, images: int, happens: Callable[[], None]) -> None:
        self._images, self._happens = images, happens
        self.happened = False
        self.said: set[str] = set()

    def __call__(self, status: Status) -> None:
        """Called by the driver, often."""
        if status.rendered_now >= self._images and not self.happened:
            self.happened = True
            self._happens()
        if self.happened:
            self.said.add(status.message)


def test_a_job_behind_all_faults_at_once_ends_with_every_image_once(
    proxy: FaultProxy, moto: S3Server, tmp_path: Path
) -> None:
    """A fifth of all requests fails, in eight ways; lost answers and conflicts make no second commit."""
    job = small_job(tmp_path, proxy.server.uri("all"), images=48)
    proxy.weather.set_rates(RATES)
    result = job.submit()
    assert result.state is JobState.SUCCEEDED
    check_each_image_once(moto.store("all"), result, 48)
    counts = proxy.weather.counts
    assert {name for name in RATES if counts.get(name, 0)} >= {"slow_down", "lost_answer", "internal_error"}


def test_an_outage_in_the_middle_costs_time_and_no_image(
    proxy: FaultProxy, moto: S3Server, tmp_path: Path, hasty: None
) -> None:
    """Longer than the store's own patience: the job says that it waits, and goes on by itself."""
    job = small_job(tmp_path, proxy.server.uri("outage"), images=60)
    incident = Incident(12, lambda: proxy.weather.outage(8.0, kind="unavailable"))
    result = job.submit(incident)
    assert result.state is JobState.SUCCEEDED
    check_each_image_once(moto.store("outage"), result, 60)
    assert any("waiting for the store" in said for said in incident.said)


def test_a_black_hole_in_the_middle_costs_time_and_no_image(
    proxy: FaultProxy, moto: S3Server, tmp_path: Path, hasty: None
) -> None:
    """Nobody refuses, nobody answers: every call runs into its timeout."""
    job = small_job(tmp_path, proxy.server.uri("hole"), images=60)
    result = job.submit(Incident(12, lambda: proxy.weather.outage(4.0, kind="hang")))
    assert result.state is JobState.SUCCEEDED
    check_each_image_once(moto.store("hole"), result, 60)
    assert proxy.weather.counts["outage"] > 0


def test_an_outage_of_twenty_seconds_is_borne(proxy: FaultProxy, moto: S3Server, tmp_path: Path) -> None:
    """With the store's own patience as users have it."""
    job = small_job(tmp_path, proxy.server.uri("twenty"), images=60)
    result = job.submit(Incident(12, lambda: proxy.weather.outage(20.0)))
    assert result.state is JobState.SUCCEEDED
    check_each_image_once(moto.store("twenty"), result, 60)


def test_credentials_that_end_for_good_stop_the_job_with_the_remedy(
    proxy: FaultProxy, moto: S3Server, tmp_path: Path
) -> None:
    """A session token in the environment that nobody renews: said at once, and with a new one nothing is lost."""
    job = small_job(tmp_path, proxy.server.uri("expired"), images=60)
    with pytest.raises(StoreRefusedError, match="credentials have expired: renew them"):
        job.submit(Incident(12, lambda: proxy.weather.expire([moto.access_key])))
    proxy.weather.expire([])
    result = job.submit()
    assert result.state is JobState.SUCCEEDED
    assert result.rendered_now < 60
    check_each_image_once(moto.store("expired"), result, 60)


def test_a_clock_that_goes_wrong_stops_the_job_with_the_remedy(
    proxy: FaultProxy, moto: S3Server, tmp_path: Path
) -> None:
    """No waiting sets a clock, and no image fails for it."""
    job = small_job(tmp_path, proxy.server.uri("clock"), images=60)
    with pytest.raises(StoreRefusedError, match=r"clock is wrong: set it \(NTP\)"):
        job.submit(Incident(12, lambda: proxy.weather.set_clock_ahead(7200.0)))
    (folder,) = [name for name in moto.store("clock").list_folders("jobs/") if name.startswith("small-")]
    named = [image for record in records_of(moto.store("clock"), folder[:-1]) for image in record.images]
    assert 12 <= len(named) < 60
    assert {image.outcome for image in named} == {Outcome.RENDERED}
