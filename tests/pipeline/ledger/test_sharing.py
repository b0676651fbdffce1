"""An instance that two jobs use is paid for once."""

from decimal import Decimal

from pipeline.ledger.books import Category, NodeSession, Span
from pipeline.ledger.sharing import Claim, shared_span
from pipeline.record import Node

_START = 1_800_000_000_000_000_000
_HOUR = 3_600_000_000_000


def session(gpus: int, *, node_gpus: int = 0, workers: int) -> NodeSession:
    """Three hours of a node at a dollar per GPU-hour; workers come up after the first."""
    node = Node(
        node_session="s",
        node_id="n",
        provider="aws",
        node_type="t",
        market="spot",
        gpu="g",
        gpu_count=gpus,
        usd_per_hour=Decimal(max(gpus, node_gpus)),
        node_gpus=node_gpus,
    )
    one = NodeSession(node, started_ns=_START)
    for gpu in range(workers):
        one.start(gpu, _START + _HOUR)
    one.end(_START + 3 * _HOUR, "released", Category.LOST_TO_FAILURE)
    return one


def test_time_before_the_first_worker_belongs_to_the_job_that_worked_there() -> None:
    """A job that waited for another one to leave the node does not pay for the wait."""
    waited = session(2, workers=2)
    before = Claim(started_ns=_START - _HOUR, ended_ns=_START + _HOUR, gpus=2)
    assert shared_span(waited, [before], now_ns=0) == Span(2 * _HOUR, 2 * 10**9)
    waited.shared = shared_span(waited, [before], now_ns=0)
    assert waited.lifetime(0) == Span(4 * _HOUR, 4 * 10**9)
    assert sum(waited.total(category).nano_usd for category in Category) == 4 * 10**9


def test_gpus_on_which_no_worker_ever_stood_belong_to_the_other_job() -> None:
    """Two jobs that use half of a node each pay half of it each."""
    half = session(8, workers=4)
    other = Claim(started_ns=_START, ended_ns=_START + 3 * _HOUR, gpus=4)
    assert shared_span(half, [other], now_ns=0) == Span(12 * _HOUR, 12 * 10**9)


def test_nobody_else_means_that_the_job_pays() -> None:
    """GPUs that nobody used, and the time of the boot, are this job's as long as no other job claims them."""
    assert shared_span(session(8, workers=4), [], now_ns=0) == Span()
    later = Claim(started_ns=_START + 3 * _HOUR, ended_ns=_START + 4 * _HOUR, gpus=8)
    assert shared_span(session(8, workers=4), [later], now_ns=0) == Span()


def test_gpus_beyond_this_jobs_own_are_free_for_others() -> None:
    """On a node of eight, a job of two yields nothing to one of six."""
    other = Claim(started_ns=_START, ended_ns=_START + 3 * _HOUR, gpus=6)
    assert shared_span(session(2, node_gpus=8, workers=1), [other], now_ns=0) == Span()
