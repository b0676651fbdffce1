"""Verify: what is named by a record must be there and sound; what is not can be taken back."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from infra.stores.memory import MemoryStore
from jobs.committed import expected_hash
from jobs.verify import Verified, verify, void
from jobs.watching.status import JobView, read_view
from pipeline.errors import JobRefusedError
from pipeline.job import JobState
from pipeline.layout import record_key
from pipeline.ports import Store
from pipeline.record import record_from_json, record_to_json
from tests.jobs.made_job import NOW, make_job


def looked(store: Store, *, quick: bool = False) -> tuple[JobView, Verified]:
    """Verify the only job of a store."""
    seen = read_view(store, "demo", now=NOW)
    return seen, verify(store, seen, quick=quick)


@pytest.mark.parametrize("quick", [True, False])
def test_sound_job_has_no_findings(*, quick: bool) -> None:
    """Everything that was rendered is there; what failed or is to come is no finding."""
    store = MemoryStore()
    _, images = make_job(store, ("a", "b", "c", "d"), failed=("b",), missing=("d",))
    _, result = looked(store, quick=quick)
    assert result.sound
    assert (result.checked, result.failed, result.total) == (2, 1, 4)
    assert result.bytes == sum(len(image.body) for image in images)


def test_every_kind_of_damage_is_named() -> None:
    """Missing, cut off, other bytes of the same size, and bytes that are no picture."""
    store = MemoryStore()
    job, images = make_job(store, ("missing", "short", "damaged", "unreadable", "sound"))
    store.delete(images[0].key)
    store.put(images[1].key, images[1].body[:-1])
    store.put(images[2].key, images[2].body[:-1] + b"x")
    body = images[3].body[:-20] + b"\0" * 20
    store.put(images[3].key, body)
    key = record_key(job.id, images[3].record)
    record = record_from_json(store.get(key))
    recorded = [
        replace(image, sha256=hashlib.sha256(body).hexdigest()) if image.key == images[3].key else image
        for image in record.images
    ]
    store.put(key, record_to_json(replace(record, images=tuple(recorded))))
    _, result = looked(store)
    found = {finding.key: finding.problem for finding in result.findings}
    assert [found.get(image.key) for image in images] == ["missing", "size", "damaged", "unreadable", None]
    assert not result.sound


def test_quick_look_finds_what_is_missing_or_cut_off_without_reading() -> None:
    """Existence and size only."""
    store = MemoryStore()
    _, images = make_job(store)
    store.delete(images[0].key)
    store.put(images[1].key, images[1].body[:-1])
    store.put(images[2].key, images[2].body[:-1] + b"x")
    _, result = looked(store, quick=True)
    assert {finding.key: finding.problem for finding in result.findings} == {
        images[0].key: "missing",
        images[1].key: "size",
    }


def test_repair_takes_back_what_is_bad_and_nothing_else() -> None:
    """The voided record counts no longer, the damaged object is gone, the job is to be resumed."""
    store = MemoryStore()
    job, images = make_job(store, ("a", "b", "c", "d"))
    store.put(images[0].key, b"broken")
    seen, result = looked(store)
    assert void(store, seen, result.findings, attempt="repair1", now=NOW) == (images[0].record,)
    assert store.head(images[0].key) is None
    after, again = looked(store)
    assert (again.checked, again.sound) == (2, True)
    assert (after.state, after.job.id) == (JobState.STOPPED, job.id)
    assert "submit again renders them" in after.message


def test_repair_of_a_sound_job_writes_nothing() -> None:
    """There is nothing to take back."""
    store = MemoryStore()
    make_job(store)
    seen, result = looked(store)
    before = {info.key for info in store.list("")}
    assert void(store, seen, result.findings, attempt="repair1", now=NOW) == ()
    assert {info.key for info in store.list("")} == before


def test_repair_of_a_running_job_is_refused_unless_its_driver_is_gone() -> None:
    """A driver would not see that its records were taken back."""
    store = MemoryStore()
    _, images = make_job(store, state=JobState.RUNNING)
    store.delete(images[0].key)
    seen, result = looked(store)
    with pytest.raises(JobRefusedError, match="is running"):
        void(store, seen, result.findings, attempt="repair1", now=NOW)
    gone = read_view(store, "demo", now=NOW + timedelta(minutes=5))
    assert void(store, gone, result.findings, attempt="repair1", now=NOW) == (images[0].record,)


def test_hash_of_a_reused_image_is_in_its_key() -> None:
    """Where a record holds no hash, the key's sixteen digits do."""
    assert expected_hash("images/ab/abc-0123456789abcdef.png", "") == "0123456789abcdef"
    assert expected_hash("images/ab/abc-0123456789abcdef.png", "ff") == "ff"
