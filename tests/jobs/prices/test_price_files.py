"""Prices in files: each with source and date, every problem with its line; and how a job file names their source."""

from decimal import Decimal
from pathlib import Path

import pytest

from jobs.jobfile.jobfile import JobFile, NodeEntry
from jobs.jobfile.loading import Options, load
from jobs.prices.node_offers import node_offers
from jobs.prices.price_files import billing_rules, egress_note, own_machine, read_price_file, storage_rates
from pipeline.errors import JobFileError

OWN = """\
- {type: rtx-4090, market: spot, usd_per_hour: 0.34, source: our contract, as_of: 2026-10-01}
- {type: g5.xlarge, market: on_demand, region: us-east-1, usd_per_hour: 0.9, source: savings plan, as_of: 2026-10}
"""


def job_file(*nodes: NodeEntry, prices: str = "auto") -> JobFile:
    """A job file with these nodes."""
    return JobFile(name="x", manifest="/p", store="/s", model="shapes", nodes=nodes, prices=prices)


def price_file(folder: Path, text: str = OWN) -> str:
    """A user's own prices."""
    path = folder / "prices.yaml"
    path.write_text(text)
    return str(path)


def test_own_prices_go_before_the_table(tmp_path: Path) -> None:
    """And make types known that the table does not have; each says where it comes from."""
    nodes = (
        NodeEntry(type="rtx-4090"),
        NodeEntry(type="g5.xlarge", market="on_demand"),
        NodeEntry(type="g6.xlarge", market="on_demand"),
    )
    own, discounted, listed = node_offers(job_file(*nodes, prices=price_file(tmp_path)), {}, gpus_here=0)
    assert (own.usd_per_hour, own.price_source) == (Decimal("0.34"), "prices.yaml (our contract, 2026-10-01)")
    assert discounted.usd_per_hour == Decimal("0.9")
    assert listed.usd_per_hour == Decimal("0.8048")
    assert not any(offer.live for offer in (own, discounted, listed))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{market: spot, usd_per_hour: 1, source: s, as_of: 2026-10}", "Field required"),
        ("{type: t, source: s, as_of: 2026-10}", "Field required"),
        ("{type: t, usd_per_hour: 1, as_of: 2026-10}", "Field required"),
        ("{type: t, usd_per_hour: 1, source: s}", "Field required"),
        ("{type: t, usd_per_hour: 0, source: s, as_of: 2026-10}", "must be more than 0"),
        ("{type: t, usd_per_hour: -1, source: s, as_of: 2026-10}", "must be an amount in US dollars"),
        ("{type: t, usd_per_hour: .nan, source: s, as_of: 2026-10}", "must be an amount in US dollars"),
        ("{type: t, usd_per_hour: 0.0000000001, source: s, as_of: 2026-10}", "at most nine digits"),
        ("{type: t, usd_per_hour: 1, source: s, as_of: 2999-01}", "is in the future"),
        ("{type: t, usd_per_hour: 1, source: s, as_of: 2026-13}", "must be a day or month"),
        ("{type: t, usd_per_hour: 1, source: s, as_of: soon}", "must be a day or month"),
        ("{type: t, market: cheap, usd_per_hour: 1, source: s, as_of: 2026-10}", "must be spot"),
        ("{type: t, usd_per_houre: 1, usd_per_hour: 1, source: s, as_of: 2026-10}", "Extra inputs"),
    ],
)
def test_price_that_makes_no_sense_is_told_with_its_line(tmp_path: Path, row: str, problem: str) -> None:
    """Negative, zero, missing, of the future: refused before anything is rendered."""
    with pytest.raises(JobFileError, match=rf"prices\.yaml:3: .*{problem}"):
        read_price_file(price_file(tmp_path, f"{OWN}- {row}\n"))


def test_price_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what else could be said."""
    with pytest.raises(JobFileError, match=r"prices: .*none\.yaml: cannot be read .* give auto, table or a file"):
        node_offers(job_file(NodeEntry(type="t"), prices=str(tmp_path / "none.yaml")), {}, gpus_here=0)


def test_price_file_is_found_beside_the_job_file(tmp_path: Path) -> None:
    """Like a manifest."""
    price_file(tmp_path)
    written = tmp_path / "job.yaml"
    written.write_text(
        "name: x\nmanifest: p.jsonl\nstore: out\nmodel: shapes\nprices: prices.yaml\nnodes: [{type: rtx-4090}]\n"
    )
    assert load(str(written), Options()).prices == str(tmp_path / "prices.yaml")


@pytest.mark.parametrize(
    ("entry", "prices", "live"),
    [
        (NodeEntry(type="g5.xlarge"), "auto", True),
        (NodeEntry(type="g5.xlarge", market="on_demand"), "auto", True),
        (NodeEntry(type="g5.xlarge"), "table", False),
        (NodeEntry(type="g5.xlarge", usd_per_hour=Decimal(1)), "auto", False),
        (NodeEntry(type="my-own", usd_per_hour=Decimal(1)), "auto", False),
        (NodeEntry(type="local", market="local"), "auto", False),
    ],
)
def test_provider_is_asked_where_nobody_said_a_price(entry: NodeEntry, prices: str, live: bool) -> None:  # noqa: FBT001
    """`auto` asks those that can be asked; a price that the user says is the price."""
    (offer,) = node_offers(job_file(entry, prices=prices), {}, gpus_here=0)
    assert offer.live is live
    assert offer.usd_per_hour > 0


def test_own_machine_costs_its_wear_and_its_power() -> None:
    """$0.11 an hour and 450 W at $0.30 per kWh are $0.245; nothing is a price where the user says it."""
    powered = NodeEntry(
        type="local", market="local", usd_per_hour=Decimal("0.11"), watts=Decimal(450), usd_per_kwh=Decimal("0.30")
    )
    (offer,) = node_offers(job_file(powered), {}, gpus_here=0)
    assert offer.usd_per_hour == Decimal("0.245")
    assert offer.price_source == "job file, with 450 W at $0.30 per kWh"
    free = NodeEntry(type="local", market="local", usd_per_hour=Decimal(0))
    (offer,) = node_offers(job_file(free), {}, gpus_here=0)
    assert (offer.usd_per_hour, offer.price_source) == (Decimal(0), "job file")
    assert own_machine().total_usd_per_hour > 0


@pytest.mark.parametrize(
    "node", ["{type: local, watts: 450}", "{type: g5.xlarge, watts: 450, usd_per_kwh: 0.3}", "{type: local, watts: -1}"]
)
def test_power_by_half_or_of_a_clouds_node_is_refused(tmp_path: Path, node: str) -> None:
    """The cloud's price holds its power already."""
    written = tmp_path / "job.yaml"
    written.write_text(f"name: x\nmanifest: p.jsonl\nstore: out\nmodel: shapes\nnodes: [{node}]\n")
    with pytest.raises(JobFileError, match="watts"):
        load(str(written), Options())


def test_billing_rules_ship_with_source_and_date() -> None:
    """Those of AWS above all."""
    rules = billing_rules()
    aws = rules["aws"]
    assert (aws.granularity_seconds, aws.minimum_seconds, aws.free_if_reclaimed_within_seconds) == (1, 60, 3600)
    assert all(rule.source and rule.as_of for rule in rules.values())


def test_egress_is_told_where_it_costs_something() -> None:
    """S3 charges for it; a folder and a service of one's own do not."""
    note = egress_note("s3://acme/renders", 10 << 30, {})
    assert "10.00 GiB" in note
    assert "up to $0.9000 of egress" in note
    assert egress_note("s3://acme/renders", 0, {}) == ""
    assert egress_note("/folder", 10 << 30, {}) == ""
    assert storage_rates("s3://acme", {"AWS_ENDPOINT_URL": "http://minio:9000"}) is None
    assert storage_rates("s3://acme", {"AWS_ENDPOINT_URL": "https://s3.eu-west-1.amazonaws.com"}) is not None
