"""Names become objects: profiles, node types and their prices, stores, manifests."""

import io
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.stores.memory import MemoryStore
from jobs.jobfile.jobfile import JobFile, NodeEntry
from jobs.prices.head_price import head_price
from jobs.prices.node_offers import capped, count_gpus, node_offers
from jobs.prices.price_files import own_machine
from jobs.profiles import node_types, profile_names, read_profile
from jobs.wiring import open_manifest, precision_problem, resolve_model, settings_of, store_of
from pipeline.errors import JobFileError, ModelError, StoreRefusedError
from pipeline.job import NodeOffer
from pipeline.pricing.overhead import HeadPrice


def job_file(*nodes: NodeEntry, workers: int | None = None) -> JobFile:
    """A job file with these nodes."""
    return JobFile(name="x", manifest="/p", store="/s", model="shapes", nodes=nodes, workers=workers)


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_ships_can_be_read(name: str) -> None:
    """A profile has its own name, a licence, and sizes that its unit divides."""
    profile = read_profile(name)
    assert profile is not None
    assert profile.name == name
    assert profile.licence
    for side in (profile.defaults.width, profile.defaults.height):
        assert side is None or profile.unit is None or side % profile.unit == 0


def test_node_types_have_prices_with_source_and_date() -> None:
    """No price stands without where and when it was seen; spot costs less."""
    types = node_types()
    assert {"g4dn.xlarge", "g5.xlarge", "g6e.xlarge", "p5.48xlarge"} <= set(types)
    for row in types.values():
        assert row.source
        assert row.as_of
        assert row.spot_usd_per_hour is None or row.spot_usd_per_hour < row.on_demand_usd_per_hour


def test_this_machine_is_the_offer_when_no_node_is_named() -> None:
    """Its price comes from the configuration, and says so."""
    (offer,) = node_offers(job_file(workers=2), {}, gpus_here=0)
    assert (offer.type, offer.market, offer.gpus, offer.gpu) == ("local", "local", 2, "cpu")
    assert (offer.usd_per_hour, offer.price_source) == (
        own_machine().total_usd_per_hour,
        "configs/prices.yaml (an assumption)",
    )
    (offer,) = node_offers(job_file(), {}, gpus_here=4)
    assert (offer.gpus, offer.gpu) == (4, "")


def test_price_of_this_machine_can_be_said() -> None:
    """The environment overrides the configuration, the job file overrides both."""
    environ = {"SPOTRENDER_LOCAL_USD_PER_HOUR": "0.37"}
    (offer,) = node_offers(job_file(), environ, gpus_here=0)
    assert (offer.usd_per_hour, offer.price_source) == (Decimal("0.37"), "SPOTRENDER_LOCAL_USD_PER_HOUR")
    own = NodeEntry(type="local", market="local", usd_per_hour=Decimal("0.5"))
    (offer,) = node_offers(job_file(own), environ, gpus_here=0)
    assert (offer.usd_per_hour, offer.price_source) == (Decimal("0.5"), "job file")
    with pytest.raises(JobFileError, match=r'must be an amount in US dollars such as 0\.25, got "cheap"'):
        node_offers(job_file(), {"SPOTRENDER_LOCAL_USD_PER_HOUR": "cheap"}, gpus_here=0)


def test_head_has_a_price_only_on_a_cluster_and_where_somebody_says_it() -> None:
    """This machine is a node of its own jobs, and an amount that is none is refused."""
    environ = {"SPOTRENDER_HEAD_USD_PER_HOUR": "0.192"}
    said = head_price(environ, address="10.0.0.5:6379")
    assert said == HeadPrice(usd_per_hour=Decimal("0.192"), source="SPOTRENDER_HEAD_USD_PER_HOUR")
    assert head_price(environ, address=None) is None
    assert head_price(environ, address="in-process") is None
    assert head_price({}, address="auto") is None
    with pytest.raises(JobFileError, match="SPOTRENDER_HEAD_USD_PER_HOUR: must be an amount in US dollars"):
        head_price({"SPOTRENDER_HEAD_USD_PER_HOUR": "-2"}, address="auto")


@pytest.mark.parametrize(
    ("entry", "price", "source"),
    [
        (NodeEntry(type="g5.xlarge", market="on_demand"), "1.006", "AWS list price us-east-1"),
        (NodeEntry(type="g6e.xlarge", market="spot"), "1.06", "spot 0.92 to 1.20"),
        (NodeEntry(type="g5.xlarge", market="spot"), "1.006", "on-demand price, no spot price known"),
        (NodeEntry(type="g5.xlarge", usd_per_hour=Decimal("0.41")), "0.41", "job file"),
        (NodeEntry(type="my-own", usd_per_hour=Decimal(2)), "2", "job file"),
    ],
)
def test_every_node_has_a_price_and_its_source(entry: NodeEntry, price: str, source: str) -> None:
    """From the table, or from the job file where that gives one."""
    (offer,) = node_offers(job_file(entry), {}, gpus_here=0)
    assert offer.usd_per_hour == Decimal(price)
    assert source in offer.price_source


def test_node_type_of_ones_own_says_its_gpus() -> None:
    """So a box with eight GPUs gets eight workers; what is known already, and what this machine counts, is refused."""
    (offer,) = node_offers(
        job_file(NodeEntry(type="my-own", usd_per_hour=Decimal(2), gpu="RTX 4090", gpus=8)), {}, gpus_here=0
    )
    assert (offer.gpu, offer.gpus) == ("RTX 4090", 8)
    with pytest.raises(JobFileError, match=r"nodes\[0\]: a g6\.xlarge has 1 x L4; leave gpu and gpus out"):
        node_offers(job_file(NodeEntry(type="g6.xlarge", gpus=8)), {}, gpus_here=0)
    with pytest.raises(ValidationError, match="GPUs of this machine are counted"):
        job_file(NodeEntry(type="local", market="local", gpus=8))


def test_unknown_node_type_is_refused_with_the_nearest() -> None:
    """Unless its price is given with it."""
    with pytest.raises(JobFileError, match=r'nodes\[0\].type: unknown node type "g5.xlrage", did you mean "g5.xlarge"'):
        settings_of(job_file(NodeEntry(type="g5.xlrage")), {}, gpus_here=0)


def test_workers_cut_the_offers_in_their_order() -> None:
    """As many nodes as so many workers need, the first ones first."""
    offers = (
        NodeOffer(type="a", market="spot", max=2, gpus=4),
        NodeOffer(type="b", market="spot", max=8),
    )
    assert [(offer.type, offer.max) for offer in capped(offers, 10)] == [("a", 2), ("b", 2)]
    assert [(offer.type, offer.max) for offer in capped(offers, 1)] == [("a", 1)]
    assert capped(offers, None) == offers


def test_gpus_are_counted_without_torch(tmp_path: Path) -> None:
    """By what the driver shows, and by what is made visible."""
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:02:00.0").mkdir()
    assert count_gpus({}, driver=tmp_path) == 2
    assert count_gpus({}, driver=tmp_path / "none") == 0
    assert count_gpus({"CUDA_VISIBLE_DEVICES": "1"}, driver=tmp_path) == 1
    assert count_gpus({"CUDA_VISIBLE_DEVICES": ""}, driver=tmp_path) == 0


def test_bf16_is_refused_on_a_gpu_that_has_none() -> None:
    """Precision is one that every allowed node supports."""
    offers = node_offers(job_file(NodeEntry(type="g4dn.xlarge"), NodeEntry(type="g5.xlarge")), {}, gpus_here=0)
    assert "g4dn.xlarge has no bf16 arithmetic" in str(precision_problem("bf16", offers))
    assert precision_problem("fp16", offers) is None
    assert precision_problem("bf16", offers[1:]) is None


def test_misspelt_model_is_refused_with_the_nearest() -> None:
    """No look at the hub for what is a slip of the keyboard."""
    with pytest.raises(ModelError, match='there is no model "sdlx", did you mean "sdxl"'):
        resolve_model("sdlx")


def test_store_is_found_by_option_or_environment() -> None:
    """The option counts more; without either the user is told both."""
    assert store_of(None, {"SPOTRENDER_STORE": "memory:a"}).uri == "memory:a"
    assert store_of("memory:b", {"SPOTRENDER_STORE": "memory:a"}).uri == "memory:b"
    assert isinstance(store_of("memory:b", {}), MemoryStore)
    with pytest.raises(StoreRefusedError, match="Say --store URI, or set SPOTRENDER_STORE"):
        store_of(None, {})


def test_manifest_is_a_seekable_stream_with_a_name(tmp_path: Path) -> None:
    """From a file or from stdin, messages name where a line stands."""
    path = tmp_path / "p.txt"
    path.write_bytes(b"a cat\n")
    with open_manifest(str(path)) as (stream, name):
        assert (stream.read(), stream.seek(0), name) == (b"a cat\n", 0, str(path))
    with open_manifest("-", stdin=io.BytesIO(b"a dog\n")) as (stream, name):
        assert (stream.read(), stream.seek(0), name) == (b"a dog\n", 0, "stdin")


def test_manifest_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    """A slip in the file's name, a folder, another protocol."""
    (tmp_path / "prompts.jsonl").touch()
    with (
        pytest.raises(JobFileError, match=r'there is no such file, did you mean "prompts\.jsonl"'),
        open_manifest(str(tmp_path / "promts.jsonl")),
    ):
        pass
    with pytest.raises(JobFileError, match="cannot be opened: Is a directory"), open_manifest(str(tmp_path)):
        pass
    with pytest.raises(JobFileError, match="must be a local path, s3://bucket/key or -"), open_manifest("http://a/b"):
        pass
    with pytest.raises(JobFileError, match="there is none here"), open_manifest("-"):
        pass
