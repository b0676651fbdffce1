"""What no node session holds is counted over all drivers of a job, and stands in its report beside the nodes."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from infra.stores.memory import MemoryStore
from pipeline.driving.orders import StopButton
from pipeline.job import JobState
from pipeline.pricing.overhead import HeadPrice, told_overhead
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from pipeline.status import Status
from tests.pipeline.driven_job import Studio
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger

HEAD = HeadPrice(usd_per_hour=Decimal("3.6"), source="somebody")
"""A tenth of a cent a second."""


def test_head_is_overhead_for_the_time_of_all_drivers(tmp_path: Path) -> None:
    """The second driver goes on where the first one was stopped; the report counts it as spend of no node session."""
    studio = Studio(tmp_path)
    prepared = studio.prepare(prompts=12)

    def stop(status: Status, button: StopButton) -> None:
        if status.rendered:
            button.press(JobState.PAUSED, "enough")

    first = studio.drive(prepared, head=HEAD, watch=stop)
    assert first.state is JobState.PAUSED
    second = studio.drive(prepared, head=HEAD)
    assert second.state is JobState.SUCCEEDED
    assert 0 < first.overhead_usd < second.overhead_usd
    assert second.overhead_usd == pytest.approx(Decimal(second.seconds) / 1000, abs=Decimal("0.001"))
    with open_ledger(studio.store) as ledger:
        report = make_report(ledger)
    assert 0 < report.overhead_usd <= second.overhead_usd
    assert report.usd == report.total.usd + report.overhead_usd
    assert report.total.usd == second.usd
    assert any("for the cluster's head while it drove (somebody)" in note for note in report.notes)


@pytest.mark.parametrize("told", [None, 7, {}, {"usd": "NaN"}, {"usd": "-1"}, {"usd": "1e40"}, {"usd": [1]}])
def test_overhead_that_makes_no_sense_is_not_believed(told: Any) -> None:
    """A report is made without it."""
    assert told_overhead(told) is None
    store = MemoryStore()
    make_ledger(store, [Life(name="n", batches=[Batch()])], beside={"overhead": told})
    with open_ledger(store) as ledger:
        assert make_report(ledger).overhead_usd == 0
