"""What the store costs is in the ledger, on lines of its own, and the rows of the nodes ledger stay node sessions."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from infra.stores.local import LocalStore
from infra.stores.memory import MemoryStore
from jobs.reporting.formats import rendered
from jobs.reporting.lines import short, storage
from jobs.reporting.report import reported
from pipeline.pricing.storage_cost import CountedCalls, StorageCost, StoreCalls, StoreMeter
from pipeline.reports.figures import Report
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from tests.pipeline.pricing.test_storage_cost import RATES
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger

LIVES = (Life(name="n", batches=[Batch(), Batch(fate="failed"), Batch(fate="again")]),)
"""Four images of 1,000 bytes are there."""


def facts(*, free: bool = False, puts: int = 3000) -> Mapping[str, Any]:
    """What a driver leaves after so many puts, and 1,000 lists."""
    meter = StoreMeter(object(), rates=None if free else RATES)
    meter.begin(CountedCalls(), StorageCost(puts=puts, lists=1000))
    return meter.facts()


def report_on(store: MemoryStore) -> Report:
    """Of all that the store holds."""
    with open_ledger(store) as ledger:
        return make_report(ledger)


def test_requests_bytes_and_egress_are_lines_beside_the_spend() -> None:
    """Counts times rates, and the bytes of the images that the job rendered; none of it is in `usd`."""
    store = MemoryStore()
    make_ledger(store, LIVES, beside=facts())
    report, bare = report_on(store), MemoryStore()
    assert report.storage is not None
    assert report.storage.calls == StoreCalls(puts=3000, lists=1000)
    assert report.storage.requests_usd == Decimal("0.02")
    assert report.storage.bytes_stored == 4000
    assert report.storage.usd_per_month == (Decimal(4000) / 2**30 * RATES.usd_per_gib_month).quantize(Decimal("1e-9"))
    assert report.storage.egress_usd == (Decimal(4000) / 2**30 * RATES.usd_per_gib_egress).quantize(Decimal("1e-9"))
    make_ledger(bare, LIVES)
    assert report.usd == report_on(bare).usd
    assert dict(short(report))["storage"] == "$0.0200 for 3,000 puts, 0 gets, 1,000 lists, beside the spend"
    assert "storage" not in dict(short(report_on(bare)))


def test_jobs_add_up_and_those_that_do_not_tell_are_not_taken_for_free() -> None:
    """A ledger from before calls were counted says nothing; one of a free store says what it was asked."""
    store = MemoryStore()
    make_ledger(store, LIVES, name="old")
    assert report_on(store).storage is None
    make_ledger(store, LIVES, name="free", beside=facts(free=True, puts=5))
    found = report_on(store)
    assert found.storage == StorageCost(puts=5, lists=1000, bytes_stored=4000)
    assert storage(found) == []
    make_ledger(store, LIVES, name="paid", beside=facts())
    both = report_on(store).storage
    assert both is not None
    assert (both.puts, both.bytes_stored, both.requests_usd) == (3005, 8000, Decimal("0.02"))
    assert both.source == "a table, 2026-11"


@pytest.mark.parametrize("format_name", ["table", "markdown", "html", "json"])
def test_every_format_for_people_shows_it(format_name: str) -> None:
    """With the counts, so that a bill can be compared."""
    store = MemoryStore()
    make_ledger(store, LIVES, beside=facts())
    with reported(store, time_line=format_name == "html") as made:
        text = rendered(made, format_name).decode()
    assert ("3000" if format_name == "json" else "3,000 puts") in text
    assert "0.02" in text
    assert "storage" in text


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        {"puts": -1, "gets": 0, "lists": 0, "rates": None},
        {"puts": True, "gets": 0, "lists": 0, "rates": None},
        {"puts": 10**40, "gets": 0, "lists": 0, "rates": None},
        {"puts": 1, "gets": 0, "lists": 0, "rates": {"source": "s", "as_of": "a", "usd_per_1000_puts": "NaN"}},
        {"puts": 1, "gets": 0, "lists": 0, "rates": {"source": "s", "as_of": "a", "usd_per_hour": "1"}},
        {"puts": 1, "gets": 0, "lists": 0, "rates": 7},
    ],
)
def test_metadata_that_makes_no_sense_is_not_believed(told: Any) -> None:
    """The report is made all the same."""
    store = MemoryStore()
    make_ledger(store, LIVES, beside={"storage": told})
    report = report_on(store)
    assert report.storage is None
    assert report.total.rendered == 4


def test_readers_of_the_nodes_ledger_see_node_sessions_alone(tmp_path: Path) -> None:
    """Jobs that tell and jobs that do not are read as one table."""
    make_ledger(LocalStore(str(tmp_path)), LIVES, name="old")
    make_ledger(LocalStore(str(tmp_path)), LIVES, name="paid", beside=facts())
    nodes = pd.read_parquet(tmp_path / "ledger/nodes")
    assert len(nodes) == 2
    assert nodes["gpu_count"].sum() == 2
