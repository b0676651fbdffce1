"""The nodes that may be used change while workers run; a node is left; a compute is closed and started again."""

from dataclasses import replace
from pathlib import Path

from infra.compute.backoff import Backoff
from infra.compute.in_process import InProcessCompute
from infra.compute.ray_demand import Demand, demands
from infra.compute.ray_places import Member, Place, refit, within_size
from pipeline.clock import SystemClock
from pipeline.events import AttemptEnded, DeviceTaken, WorkerLost, WorkerReady, WorkerStarting
from pipeline.job import NodeOffer
from tests.infra.compute.jobs import Listener, assignment, cluster_offer, local_offer, spec, synthetic_model
from tests.infra.compute.real_cluster import RayCluster
from tests.infra.compute.test_ray_cluster import workers
from tests.pipeline.single_worker import node


def places_for(*offers: NodeOffer, before: tuple[Place, ...] = (), held: tuple[Member, ...] = ()) -> list[Place]:
    """What these offers come to."""
    wanted = demands(offers, cpus_per_worker=1, machine_has_gpu=False)
    kept, _ = refit(before, wanted, held, new=new_place)
    return kept


def new_place(demand: Demand) -> Place:
    """A place that nobody holds."""
    return Place(demand, Backoff(most_seconds=1))


def test_larger_offer_keeps_the_places_that_there_are() -> None:
    """More nodes add places; those of before stay, also when their price changed."""
    before = places_for(cluster_offer(most=2))
    after = places_for(replace(cluster_offer(most=3), price_source="new"), before=tuple(before))
    assert after[:2] == before
    assert len(after) == 3
    assert {place.demand.offer.price_source for place in after} == {"new"}


def test_smaller_offer_gives_up_first_what_costs_least() -> None:
    """Empty places go before starting workers, those before idle ones, and working ones last."""
    before = places_for(cluster_offer(most=4))
    working = Member("working", before[0], None, node_id="a", ready=True, attempts={"a1"})
    idle = Member("idle", before[1], None, node_id="b", ready=True)
    starting = Member("starting", before[2], None, node_id="c")
    held = (working, idle, starting)
    for most, left in ((3, before[:3]), (2, before[:2]), (1, before[:1])):
        assert places_for(cluster_offer(most=most), before=tuple(before), held=held) == left


def test_other_node_type_takes_no_place_of_the_old_one() -> None:
    """A worker stays on the kind of node whose price it was planned with."""
    before = places_for(cluster_offer("small"))
    assert not set(map(id, places_for(cluster_offer("large"), before=tuple(before)))) & set(map(id, before))


def test_workers_beyond_a_sessions_size_stand_on_a_session_of_their_own() -> None:
    """A node's session keeps its number of GPUs, so its books never grow a line that they did not have."""
    sizes: dict[str, int] = {}
    first = [within_size(node(gpu_count=2), slot, sizes) for slot in (0, 1)]
    later = [within_size(node(gpu_count=4), slot, sizes) for slot in (2, 3)]
    assert [(one.node_session, index) for one, index in first] == [("session", 0), ("session", 1)]
    assert [(one.node_session, index) for one, index in later] == [("session-2", 0), ("session-2", 1)]
    assert {one.gpu_count for one, _ in (*first, *later)} == {2}


def test_in_process_offer_lets_workers_go_and_takes_them_back(tmp_path: Path) -> None:
    """Fewer workers are told as handed back, more again start, and a closed compute starts anew."""
    compute = InProcessCompute(spec(tmp_path, offers=(local_offer(workers=2),)), clock=SystemClock())
    compute.start()
    listener = Listener(compute)
    listener.wait(lambda events: sum(isinstance(event, WorkerReady) for event in events) == 2)
    compute.offer((local_offer(workers=1),))
    assert listener.first(WorkerLost).cause == "HANDED_BACK"
    known = len(listener.heard)
    compute.offer((local_offer(workers=2),))
    assert listener.first(WorkerStarting, after=known).gpu_index == 1
    compute.close()
    known = len(listener.heard)
    compute.start()
    listener.first(WorkerReady, after=known)
    compute.close()


def test_busy_worker_of_a_smaller_offer_hands_back_before_it_goes(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """What it had is told as handed back and nothing is given to it any more; a larger offer brings a new one."""
    model = synthetic_model(seconds_per_batch="0.2", batch_size="2")
    large, small = (cluster_offer(most=2),), (cluster_offer(),)
    with (
        ray_cluster.node(),
        ray_cluster.node(),
        workers(ray_cluster, tmp_path, models=(model,), offers=large) as (compute, listener),
    ):
        listener.wait(lambda events: sum(isinstance(event, WorkerReady) for event in events) == 2)
        for event in [event for event in listener.heard if isinstance(event, WorkerReady)]:
            compute.assign(event.worker, assignment(model, f"a-{event.worker}", images=400))
        listener.wait(lambda events: sum(isinstance(event, DeviceTaken) for event in events) >= 2)
        compute.offer(small)
        lost = listener.first(WorkerLost)
        assert (lost.cause, lost.node_lost) == ("HANDED_BACK", True)
        assert listener.first(AttemptEnded, worker=lost.worker).cause == "HANDED_BACK"
        known = len(listener.heard)
        compute.offer(large)
        listener.first(WorkerReady, after=known)


def test_left_node_is_drained_and_its_worker_replaced_elsewhere(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """As after a rebalance recommendation: the next worker stands on another node."""
    with ray_cluster.node(), workers(ray_cluster, tmp_path) as (compute, listener):
        first = listener.first(WorkerStarting)
        listener.first(WorkerReady)
        compute.leave(first.worker)
        lost = listener.first(WorkerLost)
        assert (lost.worker, lost.cause, lost.node_lost) == (first.worker, "HANDED_BACK", True)
        with ray_cluster.node():
            second = listener.first(WorkerStarting, after=listener.heard.index(lost))
            listener.first(WorkerReady, worker=second.worker)
            assert second.node.node_id != first.node.node_id


def test_closed_ray_compute_starts_again(ray_cluster: RayCluster, tmp_path: Path) -> None:
    """Pause and resume: all begins anew."""
    with ray_cluster.node(), workers(ray_cluster, tmp_path) as (compute, listener):
        first = listener.first(WorkerReady)
        compute.close()
        compute.start()
        known = len(listener.heard)
        assert listener.first(WorkerReady, after=known).worker != first.worker
