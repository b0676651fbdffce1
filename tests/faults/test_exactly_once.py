"""Create-only puts happen exactly once, and every writer knows whether it was the one, whatever happens to answers."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.stores.retry import RetryPolicy
from infra.stores.s3 import S3Store
from pipeline.errors import AlreadyExistsError, StoreUnavailableError
from pipeline.layout import record_key
from pipeline.record import driver_record, record_to_json
from pipeline.working.commit import put_record
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.infra.servers import S3Server, moto_server

THREADS = 6

RATES = {"lost_answer": 0.25, "conflict": 0.15, "reset": 0.05, "slow_down": 0.05, "stall_after_asking": 0.02}
"""More than half of all puts; a quarter of them take effect although nobody hears of it."""


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    """Honours conditional puts."""
    with moto_server() as server:
        yield server


@pytest.fixture
def proxy(moto: S3Server) -> Iterator[FaultProxy]:
    """Loses answers."""
    with fault_proxy(moto, rates=RATES, seed=5, stall_seconds=0.02) as proxy:
        yield proxy


def _store(proxy: FaultProxy, prefix: str) -> S3Store:
    return proxy.server.store(prefix, retry=RetryPolicy(attempts=40, sleep=lambda _seconds: None))


def _writes(proxy: FaultProxy) -> Counter[str]:
    """How often the server itself wrote each key."""
    done = [one.path for one in proxy.weather.exchanges if one.method == "PUT" and one.status == 200]
    return Counter(path.rpartition("/")[2] for path in done)


def test_each_key_is_written_once_and_its_winner_knows(proxy: FaultProxy) -> None:
    """Racing writers over a network that loses a quarter of all answers: one write, one winner, its bytes."""
    keys = [f"k{number}" for number in range(40)]

    def create(writer: int) -> set[str]:
        store, won = _store(proxy, "race"), set()
        for key in keys:
            try:
                store.put(key, f"writer {writer}".encode(), mode="create")
            except AlreadyExistsError:
                continue
            won.add(key)
        return won

    with ThreadPoolExecutor(THREADS) as pool:
        wins = list(pool.map(create, range(THREADS)))
    assert Counter(key for won in wins for key in won) == Counter(keys)
    assert _writes(proxy) == Counter(keys)
    proxy.weather.set_rates({})
    store = _store(proxy, "race")
    assert {key: store.get(key) for key in keys} == {
        key: f"writer {writer}".encode() for writer, won in enumerate(wins) for key in won
    }
    assert proxy.weather.counts["lost_answer"] > 10


def test_a_record_is_committed_once_however_often_it_is_put(proxy: FaultProxy) -> None:
    """The worker that gave up after a lost answer puts the same record again, and that is no second commit."""
    records = [driver_record("job-0123456789abcdef", "t0000001", f"a{number}", ()) for number in range(40)]
    hasty = proxy.server.store("records", retry=RetryPolicy(attempts=1))
    gave_up = 0
    for record in records:
        while True:
            try:
                put_record(hasty, record)
            except StoreUnavailableError:
                gave_up += 1
                continue
            break
    assert gave_up > 10
    assert set(_writes(proxy).values()) == {1}
    proxy.weather.set_rates({})
    for record in records:
        assert hasty.get(record_key(record.job, record.name)) == record_to_json(record)
