"""Which record counts for each image: the earliest store time, ties by name; voided records do not count.

A pure function of the records and their store times, so that every reader of a job comes to the same answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pipeline.record import Outcome, Record, RecordedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record and when the store took it."""

    record: Record
    modified_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """One image of one record, and what it counts as."""

    record: Record
    image: RecordedImage
    outcome: str
    """`rendered`, `reused`, `failed`, or `duplicate` for an image that an earlier record had."""
    collected: bool = False
    """Whether its file was removed by clean-up: the image is there only if another row has it."""


def tally(stored: Iterable[StoredRecord]) -> list[Tallied]:
    """Every image that counts and every duplicate, in the order of the records' store times.

    An image that failed in one record and is there by another is there; failures of it are then no rows. A picture that
    the gate refused is no row either, nor is a failure that another record forgives: the image is tried again. An image
    whose file clean-up removed keeps its row, outcome and cost, and the next record of it counts as if there were none.
    """
    in_order = sorted(stored, key=lambda item: (item.modified_at, item.record.name))
    void = voided(item.record for item in in_order)
    forgiven = frozenset(failure for item in in_order for failure in item.record.forgives)
    collected = frozenset(name for item in in_order for name in item.record.collects)
    counting = [item.record for item in in_order if item.record.name not in void]
    rows: list[Tallied] = []
    have: set[str] = set()
    had: set[str] = set()
    failed: dict[str, Tallied] = {}
    for record in counting:
        for image in record.images:
            if image.outcome is Outcome.REFUSED:
                continue  # no image: its cost is what the session committed and no row claims
            if image.outcome is Outcome.FAILED and f"{record.name}/{image.image_id}" in forgiven:
                continue
            if image.outcome is Outcome.FAILED:
                failed.setdefault(image.image_id, Tallied(record=record, image=image, outcome="failed"))
                continue
            gone = f"{record.name}/{image.image_id}" in collected
            again = image.image_id in have or (gone and image.image_id in had)
            outcome = "duplicate" if again else image.outcome.value
            (had if gone else have).add(image.image_id)
            rows.append(Tallied(record=record, image=image, outcome=outcome, collected=gone))
    rows.extend(row for image_id, row in failed.items() if image_id not in have | had)
    return rows


def voided(records: Iterable[Record]) -> frozenset[str]:
    """Names of the records that count no longer."""
    return frozenset(name for record in records for name in record.voids)
