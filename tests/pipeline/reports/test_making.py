"""A report is exact, adds up however it is grouped, and says what it does not know."""

from decimal import Decimal

import pytest

from infra.stores.memory import MemoryStore
from pipeline.errors import JobFileError
from pipeline.reports.figures import Report
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger

KEYS = ["node_type", "market", "zone", "model", "size", "tag:campaign", "job", "day"]

LIVES = (
    Life(
        name="a",
        ends="reclaimed",
        batches=[Batch(tags={"campaign": "autumn"}), Batch(width=32), Batch(fate="failed"), Batch(fate="lost")],
    ),
    Life(
        name="b",
        node_type="g5.xlarge",
        market="on_demand",
        zone="us-east-1b",
        usd_per_hour=Decimal("1.006"),
        batches=[Batch(model="other"), Batch(fate="again", seconds=7), Batch(images=3)],
        ends="running",
    ),
    Life(name="c", batches=[], ends="lost"),
)


def on_demand(provider: str, node_type: str, region: str) -> Decimal | None:
    """The price of one node type is known."""
    return {("aws", "g6.xlarge", "us-east-1"): Decimal("0.72")}.get((provider, node_type, region))


def report_on(store: MemoryStore, by: str = "node_type") -> Report:
    """Of all that the store holds."""
    with open_ledger(store) as ledger:
        return make_report(ledger, by=by, list_price=on_demand, time_line=True)


@pytest.fixture
def store() -> MemoryStore:
    """Two jobs: one of three nodes, one of a node."""
    store = MemoryStore()
    make_ledger(store, LIVES, reused=5)
    make_ledger(store, [Life(name="d", market="local", node_type="local", batches=[Batch()])], name="second")
    return store


@pytest.mark.parametrize("by", KEYS)
def test_groups_add_up_to_the_total_to_the_nano_dollar(store: MemoryStore, by: str) -> None:
    """In money, time and images, by every key, the categories of each group included."""
    report = report_on(store, by)
    total = report.total
    assert sum(group.usd for group in report.groups) == total.usd > 0
    for category in total.categories:
        assert sum(group.categories[category] for group in report.groups) == total.categories[category]
        assert sum(group.nanoseconds[category] for group in report.groups) == total.nanoseconds[category]
    for group in report.groups:
        assert sum(group.categories.values()) == group.usd
        assert sum(group.nanoseconds.values()) == group.gpu_nanoseconds
    assert sum(group.rendered for group in report.groups) == total.rendered == 19
    assert sum(group.failed for group in report.groups) == total.failed == 4
    assert sum(group.duplicates for group in report.groups) == total.duplicates == 4


def test_headline_counts_reused_images_apart(store: MemoryStore) -> None:
    """They cost nothing, so they are in no cost per image."""
    report = report_on(store)
    assert (report.total.rendered, report.total.reused, report.total.nodes) == (19, 5, 4)
    assert report.usd_per_image == report.usd / 19
    assert report.total.gpu_usd_per_image == report.total.categories["rendering"] / 19
    assert report.total.images_per_usd == 19 / report.total.usd
    assert (report.total.reclaimed, report.total.lost, report.total.running) == (1, 1, 1)


def test_start_up_is_taken_apart_where_nodes_are_grouped(store: MemoryStore) -> None:
    """Boot, load and compile are the whole of it; groups of images, which share it by time, do not claim to know."""
    report = report_on(store)
    for group in (report.total, *report.groups):
        assert group.startup_parts is not None
        assert group.startup_nanoseconds is not None
        assert sum(group.startup_parts.values()) == group.categories["startup"]
        assert sum(group.startup_nanoseconds.values()) == group.nanoseconds["startup"]
    assert all(group.startup_parts is None for group in report_on(store, by="model").groups)


def test_reused_images_have_no_size(store: MemoryStore) -> None:
    """Their record was made by a driver, which rendered nothing."""
    assert {group.name for group in report_on(store, "size").groups} == {"64x64", "32x64", "(no image)"}


def test_spend_over_time_adds_up_to_every_category(store: MemoryStore) -> None:
    """No nano-dollar is lost between the slots."""
    report = report_on(store)
    for category, usd in report.total.categories.items():
        assert sum(slot.categories[category] for slot in report.over_time) == usd
    for group in report.by_node_type:
        of_type = [slot.by_node_type[group.name] for slot in report.over_time if group.name in slot.by_node_type]
        for category, usd in group.categories.items():
            assert sum(spent[category] for spent in of_type) == usd
    assert [session.terminated_by for session in report.sessions] == ["reclaimed", "running", "lost", "released"]


def test_saved_leaves_out_what_has_no_on_demand_price(store: MemoryStore) -> None:
    """An unknown price is named, not taken for zero; this machine has none to compare with."""
    saved = report_on(store).saved
    hours = Decimal(30 + 4 * 8 + 2 + 30 + 2) / 3600
    assert saved.on_demand_usd == pytest.approx(hours * Decimal("0.72"), abs=Decimal("1e-18"))
    assert saved.usd * 2 == pytest.approx(saved.on_demand_usd, abs=Decimal("1e-8"))
    assert saved.unknown == ("g5.xlarge",)


def test_failures_cost_what_the_categories_say(store: MemoryStore) -> None:
    """By cause of the images, then what was lost without any."""
    report = report_on(store)
    costs = {failure.cause: failure.usd for failure in report.failures}
    categories = report.total.categories
    assert set(costs) == {"BAD_OUTPUT", "PREEMPTED", "DUPLICATE"}
    assert costs["BAD_OUTPUT"] == categories["lost_to_failure"]
    assert costs["PREEMPTED"] == categories["lost_to_preemption"]
    by_cause = report_on(store, "cause")
    assert {group.name: group.usd for group in by_cause.groups} == costs


def test_unknown_key_is_refused(store: MemoryStore) -> None:
    """With those that there are."""
    with pytest.raises(JobFileError, match="node_type, market, zone, job, day, model, size, cause or tag:NAME"):
        report_on(store, "colour")


def test_tag_that_no_image_has_is_told_with_those_that_there_are(store: MemoryStore) -> None:
    """Most likely it is misspelt."""
    assert 'no image has a tag "campain"; there are campaign' in report_on(store, "tag:campain").notes
    assert report_on(store, "tag:campaign").notes == report_on(store).notes


def test_empty_store_gives_an_empty_report() -> None:
    """Nothing was spent, and no quotient is made of nothing."""
    report = report_on(MemoryStore())
    assert (report.usd, report.usd_per_image, report.images_per_usd) == (Decimal(0), None, None)
    assert [report.jobs, report.groups, report.failures, report.advice, report.over_time] == [(), (), (), None, ()]
