"""What S3 charges for is counted, cheaply, where it is asked."""

from pathlib import Path

from infra.stores.retry import RetryPolicy
from infra.stores.s3 import S3Store
from pipeline.pricing.storage_cost import StoreCalls, calls_of
from tests.faults.faults import Refuse
from tests.faults.proxy import fault_proxy
from tests.infra.servers import S3Server


def test_every_try_of_a_call_is_counted(moto: S3Server) -> None:
    """A call that the service refused for being too many is charged like any other."""
    with fault_proxy(moto) as proxy:
        store = proxy.server.store("tries", retry=RetryPolicy(sleep=lambda _seconds: None))
        proxy.weather.order(Refuse(status=503, code="SlowDown"), Refuse(status=503, code="SlowDown"))
        store.put("a", b"1")
        assert store.get("a") == b"1"
        assert store.calls == StoreCalls(puts=3, gets=1)


def test_calls_are_counted_as_s3_charges_them(moto: S3Server, tmp_path: Path) -> None:
    """Writes, reads and pages of listings; parts of a large upload each, and deletes not at all."""
    store = S3Store(moto.bucket, "calls", access=moto.access)
    assert calls_of(store) == StoreCalls()
    store.put("a", b"1")
    store.put_batch({"b": b"2", "c": b"3"})
    store.get("a")
    store.head("b")
    assert store.head("none") is None
    assert len(list(store.list(""))) == 3
    store.delete("a")
    assert store.calls == StoreCalls(puts=3, gets=3, lists=1)
    large = tmp_path / "large"
    large.write_bytes(bytes(33 << 20))
    store.upload("large", str(large))
    assert store.calls.puts == 3 + 4  # two parts, the call that begins and the one that completes
