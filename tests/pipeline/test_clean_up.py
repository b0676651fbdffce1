"""Clean-up: what nobody needs goes, what anybody needs stays, and dying on the way loses nothing."""

import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.clean_up.collected import named_collected
from pipeline.clean_up.packs import all_records
from pipeline.clean_up.standing import Rules, Stand
from pipeline.driving.control import put_settings
from pipeline.errors import JobRefusedError
from pipeline.job import JobState, Settings
from pipeline.layout import lease_key, record_key, requests_key
from pipeline.record import record_to_json
from pipeline.status import read_status
from tests.pipeline.cleaned_store import MONTH, CleanedStudio
from tests.pipeline.driven_job import PreparedJob
from tests.pipeline.mortal_store import DiedError, MortalStore
from tests.pipeline.stepwise import InlineExecutor


@pytest.fixture
def studio(tmp_path: Path) -> CleanedStudio:
    """An empty store."""
    return CleanedStudio(tmp_path)


def spent(prepared: PreparedJob) -> object:
    """What the ledger says of money, in all."""
    return sum(row["accrued_usd"] for row in prepared.ledger("nodes"))


def test_images_within_retention_stay(studio: CleanedStudio) -> None:
    """Neither a young job, nor an old one that nobody gave a retention, loses anything."""
    prepared = studio.made()
    studio.pass_days(29)
    before = studio.image_keys()
    assert not studio.find().expired
    studio.pass_days(300)
    assert not studio.find(Rules()).expired
    assert studio.clean(Rules()).images == 0
    assert studio.image_keys() == before
    studio.check_whole(prepared)


def test_jobs_own_retention_goes_before_what_the_command_says(studio: CleanedStudio) -> None:
    """In both directions; and a job that is to be kept is, whatever was said."""
    short, long = studio.made(name="short"), studio.made(name="long", prompts=8)
    put_settings(studio.store, short.job.id, Settings(nodes=(), retention_seconds=7 * 86_400))
    put_settings(studio.store, long.job.id, Settings(nodes=(), retention_seconds=90 * 86_400))
    studio.pass_days(40)
    stands = {one.name: one.stand for one in studio.find().stands}
    assert stands == {short.job.id: Stand.EXPIRED, long.job.id: Stand.KEPT}
    assert not studio.find().expired, "the other job names the same images"
    studio.pass_days(60)
    assert len(studio.find().expired) == 8
    assert not studio.find(replace(MONTH, keep=frozenset({long.job.id}))).expired


def test_collected_job_tells_the_truth_and_is_rendered_anew(studio: CleanedStudio) -> None:
    """Its state and what it cost stay; the same submit renders the images again, and the books balance."""
    prepared = studio.made()
    cost, rows = spent(prepared), prepared.ledger("images")
    studio.pass_days(31)
    done = studio.clean()
    assert (done.images, studio.image_keys()) == (6, set())
    status = read_status(studio.store, prepared.job.id)
    assert status is not None
    assert (status.state, status.collected, status.complete) == (JobState.SUCCEEDED, 6, False)
    assert "removed 6 of its images; the same submit again renders them" in status.message
    assert prepared.ledger("images") == rows
    assert named_collected(studio.store, [row["key"] for row in rows]) == {row["key"] for row in rows}

    again = studio.drive(prepared)
    assert (again.state, again.rendered, again.rendered_now, again.collected) == (JobState.SUCCEEDED, 6, 6, 0)
    studio.check_whole(prepared)
    prepared.check_books()
    rows = prepared.ledger("images")
    assert [row["outcome"] for row in rows] == ["rendered"] * 12
    assert sorted(row["cause"] for row in rows) == [""] * 6 + ["COLLECTED"] * 6
    assert spent(prepared) > cost  # type: ignore[operator]
    assert studio.drive(prepared).rendered_now == 0


def test_reused_images_outlive_the_job_that_made_them(studio: CleanedStudio) -> None:
    """What a younger job names stays; when that expires too, it goes, and neither job counts on it any more."""
    old = studio.made(name="old")
    studio.pass_days(20)
    young = studio.made(name="young", prompts=4)
    assert {image.outcome for image in young.images} == {"reused"}
    studio.pass_days(15)
    assert studio.clean().images == 2
    studio.check_whole(young)
    status = read_status(studio.store, old.job.id)
    assert status is not None
    assert status.collected == 2
    studio.pass_days(30)
    assert studio.clean().images == 4
    for prepared in (young, old):
        assert studio.drive(prepared).state is JobState.SUCCEEDED
        studio.check_whole(prepared)
        prepared.check_books()


def test_files_that_nobody_names_go_after_a_day(studio: CleanedStudio) -> None:
    """As of attempts that died before their record; what is no file of ours is left alone."""
    prepared = studio.made()
    orphan = f"images/ab/ab{'0' * 62}-{'1' * 16}.png"
    studio.store.put(orphan, b"never committed")
    studio.store.put("images/notes.txt", b"not ours")
    studio.pass_days(0.9)
    assert studio.clean().orphans == 0
    studio.pass_days(0.2)
    assert studio.clean().orphans == 1
    assert studio.store.head(orphan) is None
    assert studio.store.head("images/notes.txt") is not None
    studio.check_whole(prepared)


def test_records_of_ended_jobs_are_packed_word_for_word(studio: CleanedStudio) -> None:
    """Their objects go, what they say stays, and a job whose images are gone is driven from there."""
    prepared = studio.made()
    before = prepared.records
    studio.pass_days(2)
    done = studio.clean()
    assert (done.images, done.tidied.records, prepared.records) == (0, len(before), [])
    assert studio.store.head(lease_key(prepared.job.id)) is None
    stored = all_records(studio.store, prepared.job, InlineExecutor())
    assert sorted((item.record for item in stored), key=lambda record: record.name) == before
    studio.check_whole(prepared)
    assert studio.drive(prepared).rendered_now == 0
    studio.pass_days(31)
    studio.clean()
    assert studio.drive(prepared).rendered_now == 6
    studio.check_whole(prepared)
    prepared.check_books()
    assert [row["outcome"] for row in prepared.ledger("images")] == ["rendered"] * 12
    studio.pass_days(2)
    studio.clean()
    studio.check_whole(prepared)
    assert len(all_records(studio.store, prepared.job, InlineExecutor())) > len(before)


def test_record_that_its_bucket_does_not_hold_stays(studio: CleanedStudio) -> None:
    """As one of a worker that was thought dead, which came after the bucket was sealed."""
    prepared = studio.made()
    late = replace(prepared.records[0], attempt="late")
    studio.store.put(record_key(prepared.job.id, late.name), record_to_json(late))
    studio.pass_days(2)
    studio.clean()
    kept = {record.name for record in prepared.records}
    assert {prepared.records[0].name, late.name} <= kept
    studio.check_whole(prepared)


def test_what_a_job_needs_must_be_known(studio: CleanedStudio) -> None:
    """Requests of a living job that cannot be read: nothing at all is removed."""
    studio.made(name="old")
    living = studio.prepare(name="living", prompts=3)
    studio.enter(living)
    studio.store.put(requests_key(living.job.id, 0), b"not Parquet")
    studio.pass_days(40)
    before = studio.image_keys()
    with pytest.raises(JobRefusedError, match="nobody can tell what"):
        studio.clean()
    assert studio.image_keys() == before


def test_images_of_a_job_whose_folder_is_gone_stay(studio: CleanedStudio) -> None:
    """Its ledger still names them, and nobody said that they may go."""
    prepared = studio.made()
    for info in list(studio.store.list(f"jobs/{prepared.job.id}/")):
        studio.store.delete(info.key)
    studio.pass_days(400)
    assert studio.clean().images + studio.clean().orphans == 0
    assert len(studio.image_keys()) == 6


def test_clean_up_that_dies_at_any_call_loses_nothing(studio: CleanedStudio) -> None:
    """After every writing call: the job is whole again after the same submit, or after the next clean-up and that."""
    old = studio.made(prompts=3)
    studio.pass_days(31)
    before = studio.snapshot()
    for call in itertools.count():
        studio.go_back(before)
        mortal = MortalStore(studio.store, {call: True}, studio.clock)
        with suppress(DiedError):
            studio.clean(store=mortal)
            break
        if call % 2:
            studio.pass_days(1)
            studio.clean()
        driven = replace(old, store=studio.store)
        assert studio.drive(driven).state is JobState.SUCCEEDED
        studio.check_whole(driven)
        driven.check_books()
        assert {row["outcome"] for row in driven.ledger("images")} == {"rendered"}
    assert call > 15


def test_old_leftovers_are_found(studio: CleanedStudio) -> None:
    """Probes of start-ups, and compiled code that is old; young ones stay."""
    studio.store.put("jobs/.probe/old", b"")
    studio.store.put("memory/compiled/old.bin", b"code")
    studio.pass_days(91)
    studio.store.put("jobs/.probe/new", b"")
    studio.store.put("memory/compiled/new.bin", b"code")
    found = studio.find()
    assert [left.key for left in found.leftovers] == ["jobs/.probe/old", "memory/compiled/old.bin"]
    assert studio.clean().tidied.objects == 2
    assert studio.store.head("memory/compiled/new.bin") is not None


def test_retention_counts_from_the_end_of_a_job(studio: CleanedStudio) -> None:
    """By the store's clock, to the second."""
    studio.made()
    ended = max(one.ended_at for one in studio.find().stands if one.ended_at)
    left = (timedelta(days=30) - (studio.now() - ended)).total_seconds()
    studio.clock.advance(left - 1)
    assert not studio.find().expired
    studio.clock.advance(1)
    assert len(studio.find().expired) == 6
