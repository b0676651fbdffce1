"""The small pieces: demand, back-off, code version, checks, what Ray's errors mean."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.compute.assemble import Post, check_device, check_store, encode_threads
from infra.compute.backoff import Backoff
from infra.compute.code_version import PACKAGES, code_root, code_version, library_versions
from infra.compute.gpu import gpu_name, gpu_present
from infra.compute.ray_demand import NODE_TYPE_LABEL, demands
from infra.compute.ray_session import LONGEST_TMP_DIR, check_address, local_ray
from infra.compute.spec import ComputeSpec
from infra.stores.memory import MemoryStore
from pipeline.errors import ClusterRefusedError
from pipeline.job import NodeOffer
from pipeline.layout import probe_key
from tests.pipeline.single_worker import node


def offer(node_type: str, market: str = "spot", *, gpu: str = "", most: int = 1, gpus: int = 1) -> NodeOffer:
    """An offer of these nodes."""
    return NodeOffer(type=node_type, market=market, max=most, gpu=gpu, gpus=gpus)


def test_single_offer_takes_nodes_without_labels() -> None:
    """On a plain cluster nothing sets labels, so one offer asks only not to land on another market's nodes."""
    (demand,) = demands((offer("g6.xlarge"),), cpus_per_worker=1, machine_has_gpu=True)
    assert demand.labels == {"ray.io/market-type": "!on-demand"}
    assert (demand.gpus, demand.device) == (1, "cuda")


def test_several_node_types_are_told_apart_by_label() -> None:
    """Where a job names several types, each worker asks for its own, so that its price is known."""
    found = demands((offer("g6.xlarge"), offer("g5.xlarge")), cpus_per_worker=1, machine_has_gpu=True)
    assert [demand.labels[NODE_TYPE_LABEL] for demand in found] == ["g6.xlarge", "g5.xlarge"]


def test_two_markets_of_one_type_are_told_apart_by_label() -> None:
    """Spot and on-demand nodes of one type differ in price, so their market must be labelled."""
    offers = (offer("g6.xlarge", "spot"), offer("g6.xlarge", "on_demand"))
    found = demands(offers, cpus_per_worker=1, machine_has_gpu=True)
    assert [demand.labels["ray.io/market-type"] for demand in found] == ["spot", "on-demand"]


@pytest.mark.parametrize(
    ("gpu", "machine_has_gpu", "device"), [("", True, "cuda"), ("", False, "cpu"), ("cpu", True, "cpu")]
)
def test_this_machine_is_used_as_it_is(gpu: str, machine_has_gpu: bool, device: str) -> None:  # noqa: FBT001 - a case
    """An offer of this machine that leaves the device open follows the machine."""
    (demand,) = demands((offer("local", "local", gpu=gpu),), cpus_per_worker=2, machine_has_gpu=machine_has_gpu)
    assert demand.device == device
    assert demand.labels == {}


def test_named_node_type_never_falls_back_to_cpu() -> None:
    """A node type that was not offered as CPU is asked for with a GPU, whatever the cluster has now."""
    (demand,) = demands((offer("g6.xlarge"),), cpus_per_worker=2, machine_has_gpu=False)
    assert demand.device == "cuda"


def test_node_counts_as_many_workers_as_it_holds_and_the_offer_allows() -> None:
    """A node's price is divided among the workers that the job may have there."""
    (all_eight,) = demands((offer("p5", most=2, gpus=8),), cpus_per_worker=1, machine_has_gpu=True)
    (only_one,) = demands((offer("p5"),), cpus_per_worker=1, machine_has_gpu=True)
    (on_cpu,) = demands((offer("c7", gpu="cpu", gpus=4),), cpus_per_worker=2, machine_has_gpu=False)
    assert all_eight.workers == 16
    assert all_eight.node_workers({"GPU": 8.0}) == 8
    assert only_one.node_workers({"GPU": 8.0}) == 1
    assert on_cpu.node_workers({"CPU": 6.0}) == 3
    assert on_cpu.node_workers({}) == 1


@given(ends=st.lists(st.booleans(), max_size=40), most=st.floats(min_value=0.5, max_value=120))
def test_backoff_is_none_after_a_good_life_and_never_above_the_most(ends: list[bool], most: float) -> None:
    """Whatever happened before, a worker that got ready is replaced at once, others at most that late."""
    backoff = Backoff(most_seconds=most)
    for got_ready in ends:
        if got_ready:
            backoff.succeeded()
        waited = backoff.failed()
        assert 0 <= waited <= most
        assert not (got_ready and waited)


def test_code_version_changes_with_any_module(tmp_path: Path) -> None:
    """Other code is another version, wherever it lies; where it lies does not matter, nor do caches and data."""
    for package in PACKAGES:
        shutil.copytree(code_root() / package, tmp_path / package)
    (tmp_path / "infra" / "notes.txt").write_text("data")
    assert code_version(tmp_path) == code_version()
    (tmp_path / "pipeline" / "clock.py").write_text("other = True")
    assert code_version(tmp_path) != code_version()


def test_library_versions_name_what_is_installed() -> None:
    """Ray and Python are always among them."""
    versions = library_versions()
    assert versions["ray"]
    assert versions["python"].count(".") == 2


def test_store_without_the_drivers_token_is_refused_with_the_remedy() -> None:
    """A folder of the same name on another machine is another store."""
    store = MemoryStore("memory:probe")
    store.put(probe_key("here"), b"here")
    check_store(store, "here")
    with pytest.raises(ClusterRefusedError, match=r"another store; use an s3:// store"):
        check_store(store, "elsewhere")


def test_promised_gpu_that_is_not_there_is_refused() -> None:
    """Exactly where the system shows no GPU, a promised one is refused, and none is named."""
    check_device("cpu")
    if gpu_present():
        check_device("cuda")
        assert gpu_name("0")
    else:
        assert not gpu_name("0")
        with pytest.raises(ClusterRefusedError, match="a GPU was promised"):
            check_device("cuda")


@pytest.mark.parametrize(
    ("device", "cores", "gpus", "threads"),
    [("cuda", 4, 1, 4), ("cuda", 192, 8, 8), ("cuda", 8, 4, 2), ("cuda", 1, 8, 2), ("cpu", 64, 1, 2)],
)
def test_encoders_share_the_cores_of_a_gpu_node(device: str, cores: int, gpus: int, threads: int) -> None:
    """Each GPU's worker has its part, and none that is useless."""
    spec = ComputeSpec(job="j", store_uri="memory:", offers=(), models=(), code_version="")
    here = node(gpu_count=gpus)
    post = Post(spec=spec, name="w", node=here, gpu_index=0, device=device, threads=0)
    assert encode_threads(post, cores=cores) == threads


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://10.0.0.5:10001", "--detach"),
        ("http://10.0.0.5:8265", "--detach"),
        ("10.0.0.5", "host:port"),
        ("127.0.0.1:1", "ray start --head"),
    ],
)
def test_address_that_leads_nowhere_is_refused_with_the_remedy(address: str, said: str) -> None:
    """What cannot be a Ray head is said at once, not after Ray's own half minute."""
    with pytest.raises(ClusterRefusedError, match=said):
        check_address(address)


def test_folder_too_long_for_sockets_is_refused() -> None:
    """Unix sockets have a longest path, which Ray's own message does not explain."""
    folder = "/tmp/" + "x" * LONGEST_TMP_DIR
    with pytest.raises(ClusterRefusedError, match="at most 36"), local_ray(cpus=1, gpus=0, tmp_dir=folder):
        pass
