"""Settings that are changed by `set`: written as in a job file, refused as there, and nothing else is touched."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from infra.stores.memory import MemoryStore
from jobs.changing import change
from pipeline.driving.control import latest_settings, put_settings, read_control
from pipeline.errors import JobFileError, JobRefusedError
from pipeline.job import NodeOffer, Settings
from tests.jobs.made_job import make_job

BEFORE = Settings(
    nodes=(NodeOffer(type="g5.xlarge", market="spot", max=2, usd_per_hour=Decimal("0.5"), gpu="A10G"),),
    budget_usd=Decimal(5),
    deadline=datetime(2030, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def store() -> MemoryStore:
    """With the job `demo`, submitted from a machine that is far away."""
    made = MemoryStore("memory:changing")
    job, _ = make_job(made)
    put_settings(made, job.id, BEFORE)
    return made


def test_only_what_is_named_changes(store: MemoryStore) -> None:
    """A new version is written, and control.json says so."""
    changed = change(store, "demo", ["budget.usd=30", "budget.usd_per_image=0.004"], environ={})
    assert changed.number == 2
    assert changed.settings == Settings(
        nodes=BEFORE.nodes, budget_usd=Decimal(30), usd_per_image=Decimal("0.004"), deadline=BEFORE.deadline
    )
    assert latest_settings(store, changed.job) == (2, changed.settings)
    assert read_control(store, changed.job).settings == 2
    assert "next driver" in changed.message


def test_empty_value_takes_a_limit_away(store: MemoryStore) -> None:
    """As `null` does."""
    changed = change(store, "demo", ["budget.usd=", "deadline=null"], environ={})
    assert (changed.settings.budget_usd, changed.settings.deadline) == (None, None)
    assert changed.settings.nodes == BEFORE.nodes


def test_patience_is_changed_like_a_limit(store: MemoryStore) -> None:
    """What a driver does on a rebalance recommendation, and how long a store may be silent."""
    changed = change(store, "demo", ["on_rebalance=leave", "store_outage_seconds=1800"], environ={})
    assert (changed.settings.on_rebalance, changed.settings.outage_seconds) == ("leave", 1800.0)
    assert changed.settings.budget_usd == BEFORE.budget_usd
    with pytest.raises(JobFileError, match="must be ignore or leave"):
        change(store, "demo", ["on_rebalance=perhaps"], environ={})
    assert latest_settings(store, changed.job) == (2, changed.settings)


def test_nodes_are_written_as_in_a_job_file(store: MemoryStore) -> None:
    """With the prices of the table."""
    nodes = "nodes=[{type: g6e.xlarge, market: spot, max: 8}, {type: g5.xlarge, market: spot, max: 1}]"
    changed = change(store, "demo", [nodes], environ={})
    assert [(offer.type, offer.max) for offer in changed.settings.nodes] == [("g6e.xlarge", 8), ("g5.xlarge", 1)]
    assert all(offer.usd_per_hour for offer in changed.settings.nodes)
    assert changed.settings.budget_usd == 5


@pytest.mark.parametrize(
    ("assignment", "says"),
    [
        ("budget.usd=lots", "budget.usd: must be an amount"),
        ("budget.usd=0", "must be more than 0"),
        ("budget.us=3", 'did you mean "budget.usd"'),
        ("width=768", '"width" is frozen, or no key of a job'),
        ("model=sdxl", "is frozen"),
        ("nodes=[{type: g5.xlarge", "is not valid YAML"),
        ("nodes=[{type: g7zz, market: spot, max: 1}]", 'unknown node type "g7zz"'),
        ("nodes=[{type: g5.xlarge, markt: spot}]", 'did you mean "market"'),
        ("deadline=tomorrow", "must be an instant such as"),
        ("budget.usd", "must look like"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(store: MemoryStore, assignment: str, says: str) -> None:
    """One message with the remedy; the sound assignments beside it have no effect either."""
    before = [info.key for info in store.list("")]
    with pytest.raises(JobFileError) as refused:
        change(store, "demo", ["budget.usd_per_image=1", assignment], environ={})
    assert says in str(refused.value)
    assert [info.key for info in store.list("")] == before


def test_unknown_job_is_refused(store: MemoryStore) -> None:
    """With those that are near."""
    with pytest.raises(JobRefusedError, match="demo"):
        change(store, "dmeo", ["budget.usd=1"], environ={})
