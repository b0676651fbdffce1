"""The stores under test: every row of the table, and S3 on two real servers."""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.stores.local import LocalStore
from infra.stores.measured import MeasuredStore
from infra.stores.memory import MemoryStore
from infra.stores.retry import RetryPolicy
from infra.stores.s3_client import s3_client
from pipeline.ports import Store
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.infra.servers import S3Server, moto_server, rclone_server

KINDS = ("memory", "measured", "local", "s3 on moto", "s3 on rclone", "s3 behind faults")
"""What the contract runs over."""

HONEST_KINDS = ("memory", "measured", "local", "s3 on moto", "s3 behind faults")
"""Those that honour conditional puts."""

RATES = {
    "slow_down": 0.04,
    "internal_error": 0.03,
    "conflict": 0.04,
    "reset": 0.02,
    "reset_in_request": 0.02,
    "lost_answer": 0.04,
    "cut_body": 0.02,
    "spoil_body": 0.02,
}
"""Nearly a quarter of all requests meets one of them."""


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """One moto server for all tests; tests keep apart by prefix."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One rclone server for all tests; tests keep apart by prefix."""
    with rclone_server(tmp_path_factory.mktemp("rclone") / "served") as server:
        yield server


@pytest.fixture(scope="session")
def behind_faults(moto: S3Server) -> Iterator[FaultProxy]:
    """A proxy in front of moto, and a bucket whose name is always the same, so that chance is too."""
    server = replace(moto, bucket="behind-faults")
    client = s3_client(server.access, connections=1)
    client.create_bucket(Bucket=server.bucket)
    client.close()
    with fault_proxy(server, rates=RATES, seed=11) as proxy:
        yield proxy


@pytest.fixture
def no_wait() -> RetryPolicy:
    """Retries without the waiting."""
    return RetryPolicy(sleep=lambda _seconds: None)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    return empty_store(request, str(request.param), tmp_path)


@pytest.fixture(params=HONEST_KINDS)
def honest_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind that honours conditional puts."""
    return empty_store(request, str(request.param), tmp_path)


def empty_store(request: pytest.FixtureRequest, kind: str, folder: Path) -> Store:
    """A new, empty store."""
    if kind == "memory":
        return MemoryStore("memory:test")
    if kind == "measured":
        return MeasuredStore(MemoryStore("memory:test"))
    if kind == "local":
        return LocalStore(str(folder / "store"))
    if kind == "s3 behind faults":
        proxy: FaultProxy = request.getfixturevalue("behind_faults")
        prefix = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
        return proxy.server.store(prefix, retry=RetryPolicy(attempts=12, sleep=lambda _seconds: None))
    server: S3Server = request.getfixturevalue(kind.removeprefix("s3 on "))
    return server.store(f"tests/{secrets.token_hex(6)}", retry=RetryPolicy(attempts=3, first_wait_seconds=0.02))
