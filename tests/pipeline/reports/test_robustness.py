"""A report is made of whatever the ledger holds: it adds up for any history, and says what is out of the ordinary."""

import io
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.stores.memory import MemoryStore
from pipeline.job import Job
from pipeline.layout import ledger_nodes_key
from pipeline.ledger.schema import LATER_COLUMNS, LATER_IMAGE_COLUMNS, NODES, ledger_file
from pipeline.reports.figures import Report
from pipeline.reports.ledger import open_ledger
from pipeline.reports.making import make_report
from tests.pipeline.reports.made_ledger import Batch, Life, make_ledger
from tests.pipeline.reports.test_making import KEYS

BATCHES = st.builds(
    Batch,
    images=st.integers(1, 5),
    seconds=st.integers(0, 50),
    fate=st.sampled_from(["rendered", "rendered", "failed", "again", "lost"]),
    model=st.sampled_from(["synthetic", "other"]),
    width=st.sampled_from([8, 64]),
    tags=st.dictionaries(st.just("campaign"), st.text(max_size=3), max_size=1),
)
LIVES = st.builds(
    Life,
    name=st.uuids().map(str),
    node_type=st.sampled_from(["g6.xlarge", "g5.xlarge"]),
    market=st.sampled_from(["spot", "on_demand"]),
    zone=st.sampled_from(["us-east-1a", "us-east-1b", ""]),
    usd_per_hour=st.decimals(0, 100, places=7),
    starts=st.integers(0, 100_000),
    startup=st.integers(0, 90),
    batches=st.lists(BATCHES, max_size=5),
    idle=st.integers(0, 60),
    ends=st.sampled_from(["released", "reclaimed", "lost", "running"]),
)


def report_on(store: MemoryStore, by: str = "node_type") -> Report:
    """Of all that the store holds."""
    with open_ledger(store, threads=1) as ledger:
        return make_report(ledger, by=by, time_line=True)


def change_nodes(store: MemoryStore, job: Job, change: Callable[[pa.Table], pa.Table]) -> None:
    """Rewrite the job's node sessions."""
    key = ledger_nodes_key(job.date, job.id, "000000")
    store.put(key, ledger_file("nodes", change(pq.read_table(pa.BufferReader(store.get(key))))))


def with_column(table: pa.Table, name: str, value: object) -> pa.Table:
    """One column the same in every row."""
    column = pa.array([value] * len(table), table.schema.field(name).type)
    return table.set_column(table.schema.get_field_index(name), name, column)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(lives=st.lists(LIVES, max_size=4), by=st.sampled_from(KEYS), reused=st.integers(0, 2))
def test_any_history_adds_up(lives: list[Life], by: str, reused: int) -> None:
    """Groups and time slots give the total in every category, to the nano-dollar and the nanosecond."""
    store = MemoryStore()
    make_ledger(store, lives, reused=reused)
    report = report_on(store, by)
    total = report.total
    assert sum(group.usd for group in report.groups) == total.usd == sum(total.categories.values())
    assert sum(group.rendered for group in report.groups) == total.rendered
    assert sum(group.billable_usd for group in report.groups) == total.billable_usd
    for category, usd in total.categories.items():
        assert sum(group.categories[category] for group in report.groups) == usd
        assert sum(group.nanoseconds[category] for group in report.groups) == total.nanoseconds[category]
        assert sum(slot.categories[category] for slot in report.over_time) == usd
    lost = sum(total.categories[name] for name in ("lost_to_preemption", "lost_to_failure", "duplicate"))
    assert sum(failure.usd for failure in report.failures) == lost
    assert total.categories["unattributed"] == 0


def test_session_that_never_closed_counts_to_its_last_heartbeat() -> None:
    """And the report says so, and up to when."""
    store = MemoryStore()
    make_ledger(store, [Life(name="a", batches=[Batch()], ends="running", idle=20)])
    report = report_on(store)
    assert report.total.running == 1
    assert report.total.gpu_nanoseconds == (30 + 8 + 20) * 10**9
    assert report.last_heartbeat_at == report.sessions[0].started_at + timedelta(seconds=58)
    assert "1 node session is not closed: counted up to the last heartbeat, 2026-11-21 07:00:58 UTC" in report.notes


def test_overlapping_sessions_of_one_node_are_told() -> None:
    """Both are counted, since both were paid for by these books; the reader is told."""
    store = MemoryStore()
    lives = [Life(name=name, node_id="i-1", starts=starts) for name, starts in (("a", 0), ("b", 10), ("c", 500))]
    make_ledger(store, lives)
    assert "1 node session overlaps an earlier one of the same node (one node)" in report_on(store).notes


def test_prices_that_make_no_sense_are_told() -> None:
    """Zero, negative, missing: the report is made all the same, and says that it is not to be trusted."""
    for price, said in (
        (Decimal(0), "1 node session has no price (0 an hour), so costs here are too low"),
        (Decimal("-0.5"), "1 node session has a negative price; costs here cannot be trusted"),
    ):
        store = MemoryStore()
        make_ledger(store, [Life(name="a", usd_per_hour=price, batches=[Batch()])])
        report = report_on(store)
        assert said in report.notes
        assert report.images_per_usd is None
        assert report.usd_per_image is not None
    store = MemoryStore()
    job = make_ledger(store, [Life(name="a", batches=[Batch()])])
    change_nodes(store, job, lambda table: with_column(with_column(table, "usd_per_hour", None), "accrued_usd", None))
    notes = report_on(store).notes
    assert "1 node session has no price (0 an hour), so costs here are too low" in notes
    assert "the categories of 1 node session do not add up to what was accrued" in notes


def test_spend_that_no_node_session_holds_is_overhead() -> None:
    """Images of a session that the nodes ledger does not know are paid for all the same."""
    store = MemoryStore()
    job = make_ledger(store, [Life(name="a", batches=[Batch()]), Life(name="b", batches=[Batch(), Batch()])])
    change_nodes(store, job, lambda table: table.filter(pc.starts_with(table["node_session"], "a-")))
    report = report_on(store)
    assert report.overhead_usd == 2 * report.total.categories["rendering"] > 0
    assert report.usd == report.total.usd + report.overhead_usd
    assert report.usd_per_image == report.usd / 12
    assert [note for note in report.notes if note.startswith("overhead: ")]


def test_files_from_before_a_column_was_added_are_read_with_the_others() -> None:
    """A column that is documented as later is null in them."""
    store = MemoryStore()
    old = make_ledger(store, [Life(name="a", batches=[Batch()])], name="old")
    make_ledger(store, [Life(name="b", batches=[Batch()], ends="running")], name="new")
    change_nodes(store, old, lambda table: table.drop_columns(sorted(LATER_COLUMNS)))
    for info in list(store.list(f"ledger/images/date={old.date}/job={old.id}/")):
        table = pq.read_table(io.BytesIO(store.get(info.key)))
        store.put(info.key, ledger_file("images", table.drop_columns(sorted(LATER_IMAGE_COLUMNS))))
    report = report_on(store)
    assert (report.total.rendered, report.total.nodes, report.skipped) == (8, 2, ())


def test_file_with_a_float_for_money_is_left_out() -> None:
    """Whoever wrote it was not us, and its sums would not be exact."""
    store = MemoryStore()
    job = make_ledger(store, [Life(name="a", batches=[Batch()])])
    place = NODES.get_field_index("accrued_usd")
    change_nodes(
        store, job, lambda table: table.set_column(place, "accrued_usd", table["accrued_usd"].cast(pa.float64()))
    )
    report = report_on(store)
    key = ledger_nodes_key(job.date, job.id, "000000")
    assert report.skipped == (f"{key}: column accrued_usd is double, not decimal128(18, 9)",)


def test_many_values_of_a_tag_are_added_up_in_others() -> None:
    """The report stays short, and still adds up."""
    store = MemoryStore()
    batches = [Batch(images=1, seconds=1, tags={"campaign": f"{number}"}) for number in range(230)]
    make_ledger(store, [Life(name="a", batches=batches)])
    report = report_on(store, "tag:campaign")
    assert (len(report.groups), report.groups_left_out, report.groups[-1].name) == (201, 30, "(others)")
    assert sum(group.usd for group in report.groups) == report.total.usd
