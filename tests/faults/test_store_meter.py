"""What a job says that it asked of its store is what the server saw."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.stores.s3 import S3Store
from jobs.reporting.report import reported
from jobs.watching.listing import job_ids
from pipeline.status import read_status
from tests.faults.proxy import FaultProxy, fault_proxy
from tests.faults.submitted_job import check_each_image_once, small_job
from tests.infra.servers import moto_server

SUBMITTED = ("requests/", "job.json", "settings/", "report.html")
"""What `submit` writes before and after the drive, which is not counted."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A server, and a proxy that sees what it is asked."""
    with moto_server() as moto, fault_proxy(moto) as proxy:
        for name, value in proxy.server.environment().items():
            monkeypatch.setenv(name, value)
        yield proxy


def kind(method: str, path: str) -> str:
    """What S3 charges a request as; nothing for a delete."""
    listing = method == "GET" and "list-type=2" in path
    return "lists" if listing else {"PUT": "puts", "GET": "gets", "HEAD": "gets"}.get(method, "")


def test_ledger_counts_the_calls_that_the_server_saw(proxy: FaultProxy, tmp_path: Path) -> None:
    """Of driver and workers, from the first status to the nodes ledger."""
    job = small_job(tmp_path, proxy.server.uri("metered"), images=12)
    result = job.submit()
    seen = list(proxy.weather.exchanges)
    store = S3Store(proxy.server.bucket, "metered", access=proxy.server.access)
    check_each_image_once(store, result, 12)
    all_seen = Counter(kind(one.method, one.path) for one in seen)
    driven = [one for one in seen if not any(part in one.path for part in SUBMITTED)]
    most = Counter(kind(one.method, one.path) for one in driven)
    rendering = ("/images/", "/records/", "/nodes/", "/index/")  # written by the drive alone, before it tells
    ledger_puts = [n for n, one in enumerate(seen) if "/ledger/nodes/" in one.path and one.method == "PUT"]
    before = seen[: ledger_puts[-1]]
    least = sum(1 for one in before if one.method == "PUT" and any(part in one.path for part in rendering))
    with reported(store, list(job_ids(store))) as made:
        told = made.report.storage
    status = read_status(store, result.job)
    assert told is not None
    assert status is not None
    assert least <= told.puts <= most["puts"]
    assert 0 < told.gets <= all_seen["gets"]
    assert 0 < told.lists <= all_seen["lists"]
    assert told.bytes_stored == status.storage.bytes_stored == sum(info.size_bytes for info in store.list("images/"))
    assert told.puts <= status.storage.puts <= most["puts"]
    assert told.requests_usd == 0  # a server of one's own is free
