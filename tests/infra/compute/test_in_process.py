"""Workers as threads of this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.compute.in_process import InProcessCompute
from infra.compute.table import open_compute
from pipeline.clock import SystemClock
from pipeline.errors import ClusterRefusedError
from pipeline.events import (
    AttemptEnded,
    BatchCommitted,
    NoticeCancelled,
    NoticeSeen,
    WorkerLost,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.job import NodeOffer
from pipeline.ports import Compute
from tests.infra.compute.jobs import Listener, assignment, local_offer, recorded_images, spec


@pytest.fixture
def compute(tmp_path: Path) -> Iterator[Compute]:
    """Two workers over a local store."""
    made = open_compute(spec(tmp_path, address="in-process", offers=(local_offer(workers=2),)), clock=SystemClock())
    made.start()
    yield made
    made.close()


def test_in_process_worker_starts_and_commits_what_it_is_assigned(compute: Compute, tmp_path: Path) -> None:
    """An assignment ends as records in the store and events about them, in order."""
    listener = Listener(compute)
    ready = listener.first(WorkerReady)
    work = assignment(spec(tmp_path).models[0], "a1")
    compute.assign(ready.worker, work)
    ended = listener.first(AttemptEnded)
    assert ended.cause == "SUCCEEDED"
    assert sorted(recorded_images(tmp_path)) == sorted(work.image_ids)
    kinds = [type(event) for event in listener.heard if event.worker == ready.worker]
    assert kinds.index(WorkerStarting) < kinds.index(WorkerReady) < kinds.index(BatchCommitted)
    assert kinds.index(BatchCommitted) < kinds.index(AttemptEnded)


def test_in_process_workers_share_one_node_under_different_indexes(compute: Compute) -> None:
    """All threads stand on one node, each with its own part of it."""
    listener = Listener(compute)
    heard = listener.wait(lambda events: sum(isinstance(event, WorkerReady) for event in events) == 2)
    starts = [event for event in heard if isinstance(event, WorkerStarting)]
    assert len({start.node.node_session for start in starts}) == 1
    assert {start.gpu_index for start in starts} == {0, 1}
    assert {start.node.gpu_count for start in starts} == {2}


def test_killed_in_process_worker_is_lost_and_replaced(compute: Compute) -> None:
    """A kill is told as a loss, nothing more is heard of the worker, and another takes its index."""
    listener = Listener(compute)
    victim = listener.first(WorkerReady).worker
    compute.kill(victim)
    lost = listener.first(WorkerLost)
    assert (lost.worker, lost.node_lost) == (victim, False)
    before = len(listener.heard)
    start = listener.first(WorkerStarting, after=listener.heard.index(lost))
    listener.first(WorkerReady, worker=start.worker)
    assert victim not in {event.worker for event in listener.heard[before:]}


def test_notice_of_this_machine_reaches_in_process_workers_and_can_be_taken_back(tmp_path: Path) -> None:
    """A file that is said to announce it makes this process watch over its machine."""
    notice = tmp_path / "notice"
    changes = {"address": "in-process", "notice_file": str(notice)}
    compute = open_compute(spec(tmp_path / "store", **changes), clock=SystemClock())
    compute.start()
    listener = Listener(compute)
    worker = listener.first(WorkerReady).worker
    notice.write_text("60")
    assert listener.first(NoticeSeen).worker == worker
    compute.assign(worker, assignment(spec(tmp_path / "store").models[0], "a1"))
    assert listener.first(AttemptEnded).cause == "HANDED_BACK"
    notice.unlink()
    listener.first(NoticeCancelled)
    compute.assign(worker, assignment(spec(tmp_path / "store").models[0], "a2"))
    heard = listener.wait(lambda events: sum(isinstance(event, AttemptEnded) for event in events) == 2)
    assert [event.cause for event in heard if isinstance(event, AttemptEnded)] == ["HANDED_BACK", "SUCCEEDED"]
    compute.close()


def test_in_process_worker_without_the_probe_token_is_refused(tmp_path: Path) -> None:
    """A worker that does not find the driver's token in its store says so and renders nothing."""
    compute = InProcessCompute(spec(tmp_path, probe_token="elsewhere"), clock=SystemClock())
    compute.start()
    refused = Listener(compute).first(WorkerRefused)
    compute.close()
    assert refused.cause == "CLUSTER_REFUSED"
    assert "another store" in refused.message


def test_in_process_workers_on_a_gpu_are_refused(tmp_path: Path) -> None:
    """Threads of one process would share one GPU, so a promise of more is not accepted."""
    offer = NodeOffer(type="local", market="local", max=1, gpu="NVIDIA L4", gpus=2)
    with pytest.raises(ClusterRefusedError, match="in-process"):
        InProcessCompute(spec(tmp_path, offers=(offer,)), clock=SystemClock()).start()
