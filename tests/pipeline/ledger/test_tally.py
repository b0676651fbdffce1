"""Which record counts: the earliest store time, ties by name, and none that was voided."""

from datetime import UTC, datetime, timedelta

from pipeline.ledger.tally import StoredRecord, tally
from pipeline.record import Outcome, Record, RecordedImage, record_from_json, record_to_json


def stored(
    attempt: str, seconds: int, images: str = "", *, failed: str = "", voids: tuple[str, ...] = ()
) -> StoredRecord:
    """A record of one-letter images."""
    entries = [RecordedImage(image_id=letter, outcome=Outcome.RENDERED, key=f"{attempt}/{letter}") for letter in images]
    entries += [RecordedImage(image_id=letter, outcome=Outcome.FAILED, cause="BAD_OUTPUT") for letter in failed]
    record = Record(
        job="j", task="t0000001", attempt=attempt, sequence=0, node=None, images=tuple(entries), voids=voids
    )
    return StoredRecord(record=record, modified_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def outcomes(*records: StoredRecord) -> dict[tuple[str, str], str]:
    """(attempt, image) -> outcome."""
    return {(row.record.attempt, row.image.image_id): row.outcome for row in tally(records)}


def test_earliest_record_counts_and_the_later_one_is_a_duplicate() -> None:
    """Racing attempts may both commit; one counts, whatever order they are read in."""
    late, early = stored("a", 2, "xy"), stored("b", 1, "x")
    expected = {("b", "x"): "rendered", ("a", "x"): "duplicate", ("a", "y"): "rendered"}
    assert outcomes(late, early) == outcomes(early, late) == expected


def test_equal_times_are_decided_by_name() -> None:
    """S3 lists whole seconds, so ties are common."""
    assert outcomes(stored("b", 1, "x"), stored("a", 1, "x"))["a", "x"] == "rendered"


def test_voided_record_counts_no_longer() -> None:
    """A repair takes a record back whole; a later record of the same image counts then."""
    bad = stored("a", 1, "xy")
    repair = stored("r", 2, voids=(bad.record.name,))
    assert outcomes(bad, repair) == {}
    assert outcomes(bad, repair, stored("c", 3, "x")) == {("c", "x"): "rendered"}


def test_failure_is_forgotten_when_the_image_is_there() -> None:
    """An image that failed in one record and is there by another is there."""
    assert outcomes(stored("a", 1, failed="xy"), stored("b", 2, "x")) == {
        ("b", "x"): "rendered",
        ("a", "y"): "failed",
    }


def test_record_survives_json() -> None:
    """A record is the same after the store."""
    record = stored("a", 1, "x", failed="y", voids=("n",)).record
    assert record_from_json(record_to_json(record)) == record
