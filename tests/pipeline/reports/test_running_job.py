"""A report is made while the job runs, from what its driver has written so far, and again when it is done."""

from pathlib import Path

from pipeline.driving.orders import StopButton
from pipeline.reports.figures import Report
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from pipeline.status import Status
from tests.pipeline.driven_job import Studio


def report_of(studio: Studio) -> Report:
    """Of all that the store holds now."""
    with open_ledger(studio.store, threads=1) as ledger:
        return make_report(ledger, time_line=True)


def test_running_job_is_reported_as_far_as_its_ledger_goes(tmp_path: Path) -> None:
    """Its nodes count to their last heartbeat, its books balance, and it never claims more than the driver."""
    studio, seen = Studio(tmp_path), list[tuple[Status, Report]]()
    prepared = studio.prepare(prompts=240)

    def watch(status: Status, _button: StopButton) -> None:
        if len(seen) < 2 and status.rendered and not status.state.terminal and studio.store.head(key) is not None:
            seen.append((status, report_of(studio)))

    key = f"ledger/nodes/date={prepared.job.date}/job={prepared.job.id}/000000.parquet"
    studio.drive(prepared, watch=watch)
    for status, report in seen:
        total = report.total
        assert 0 < total.rendered <= status.rendered < 240
        assert 0 < report.usd <= status.usd
        assert (total.running, report.last_heartbeat_at is not None) == (total.nodes, True)
        assert sum(total.categories.values()) == total.usd
        assert all(usd >= 0 for usd in total.categories.values())
        assert sum(slot.categories["rendering"] for slot in report.over_time) == total.categories["rendering"]
        assert total.categories["lost_to_failure"] == 0, "what is in flight is not lost"
    assert len(seen) == 2
    done = report_of(studio)
    assert (done.total.rendered, done.total.running) == (240, 0)
    assert done.total.categories["unattributed"] == 0
    assert done.notes == ()
