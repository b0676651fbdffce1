"""How busy GPUs were over many batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger.gpu_figures import busy_share, mean_watts
from pipeline.record import GpuUse, Record

SHARES = st.none() | st.floats(0, 1)


def batch(busy: float | None, watts: float | None, *, nanoseconds: int) -> Record:
    """A batch of so long."""
    use = GpuUse(busy=busy, watts=watts, memory_bytes=None)
    return Record(job="j", task="t", attempt="a", sequence=0, node=None, gpu_nanoseconds=nanoseconds, gpu_use=use)


def test_long_batches_weigh_more() -> None:
    """Three seconds at 100 % and one at 20 % are 80 %."""
    records = [batch(1.0, 600.0, nanoseconds=3), batch(0.2, None, nanoseconds=1)]
    assert busy_share(records) == pytest.approx(0.8)
    assert mean_watts(records) == 600.0


def test_what_nobody_told_is_not_zero() -> None:
    """Neither without records, nor without any that knows it."""
    unknown = Record(job="j", task="t", attempt="a", sequence=0, node=None, gpu_nanoseconds=5)
    assert busy_share([]) is None
    assert busy_share([unknown, batch(None, None, nanoseconds=5)]) is None
    assert busy_share([unknown, batch(0.5, None, nanoseconds=5)]) == 0.5


@given(st.lists(st.tuples(SHARES, st.integers(0, 10**12))))
def test_share_lies_among_those_of_the_batches(batches: list[tuple[float | None, int]]) -> None:
    """Whatever they are."""
    share = busy_share(batch(busy, None, nanoseconds=long) for busy, long in batches)
    told = [busy for busy, long in batches if busy is not None and long]
    assert (share is None) == (not told)
    assert share is None or min(told) - 1e-9 <= share <= max(told) + 1e-9
