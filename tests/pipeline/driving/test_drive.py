"""Whole jobs, driven step by step: how they end, what a later submit finds, and what it all cost."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.assignment import Assignment, Output
from pipeline.events import AttemptEnded, BatchCommitted, WorkerEvent, WorkerLost
from pipeline.job import JobState
from pipeline.layout import failures_key
from pipeline.record import Cause, Outcome, Record
from pipeline.working.commit import put_record
from pipeline.working.worker import Worker
from tests.pipeline.driven_job import Studio, WatchedCompute
from tests.pipeline.manifest.submission import read, resolver, spooled, table

TROUBLE = {1: "[[bad-request]]", 4: "[[black]]", 5: '[[blank]] "quoted" 狐', 7: "[[nan]]"}
CAUSES = {1: Cause.BAD_REQUEST, 4: Cause.BAD_OUTPUT, 5: Cause.SAFETY_BLANKED, 7: Cause.BAD_OUTPUT}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    """An empty store."""
    return Studio(tmp_path)


def troubled(row: int) -> str:
    """A prompt, of which some fail."""
    return f"prompt {row} {TROUBLE.get(row, '')}"


def test_job_with_failing_prompts_completes_with_failures(studio: Studio) -> None:
    """All others are rendered, each failure is counted once and has its cause in the ledger; the books balance."""
    prepared = studio.prepare(prompts=9, prompt=troubled)
    status = studio.drive(prepared)
    assert status.state is JobState.COMPLETED_WITH_FAILURES
    assert (status.rendered, status.reused, status.failed, status.total) == (5, 0, 4, 9)
    rows = {row["image_id"]: row for row in prepared.ledger("images")}
    for place, image_id in enumerate(prepared.ids):
        assert rows[image_id]["outcome"] == ("failed" if place in CAUSES else "rendered")
        assert rows[image_id]["cause"] == CAUSES.get(place, "")
    prepared.check_books()
    assert prepared.spent("lost_to_failure") > 0


def test_failures_are_a_manifest_of_the_same_images(studio: Studio, tmp_path: Path) -> None:
    """Read without problems, it asks for exactly the images that failed, under their names, with causes as tags."""
    prepared = studio.prepare(prompts=9, prompt=troubled)
    studio.drive(prepared)
    body = studio.store.get(failures_key(prepared.job.id))
    rows, problems = read(body, "failures.jsonl")
    assert problems.count == 0, problems.messages()
    assert [row.custom_id for row in rows] == [f"c{place}" for place in CAUSES]
    assert [row.tags["cause"] for row in rows] == list(CAUSES.values())
    assert all(row.tags["message"] and row.tags["row"] for row in rows)
    by = resolver(models=[prepared.model])
    again = tmp_path / "again"
    again.mkdir()
    resolved = table(spooled(body, again, by=by))
    assert [row["image_id"] for row in resolved] == [prepared.ids[place] for place in CAUSES]


def test_failed_images_are_not_tried_again_by_the_same_submit(studio: Studio) -> None:
    """A finished job is finished; its failures are the user's to look at."""
    prepared = studio.prepare(prompts=9, prompt=troubled)
    first = studio.drive(prepared)
    again = studio.drive(prepared)
    assert not studio.workers_were_started
    assert (again.state, again.failed, again.usd) == (first.state, first.failed, first.usd)
    assert studio.store.head(failures_key(prepared.job.id)) is not None


def test_second_job_of_the_same_prompts_costs_nothing(studio: Studio) -> None:
    """Every image is reused, committed by records of its own, without any worker having been asked for."""
    studio.drive(studio.prepare(name="first", images=2))
    second = studio.prepare(name="second", images=2)
    status = studio.drive(second)
    assert not studio.workers_were_started
    assert (status.state, status.reused, status.rendered) == (JobState.SUCCEEDED, 12, 0)
    assert status.usd == 0
    assert {image.outcome for image in second.images} == {Outcome.REUSED}
    assert sorted(image.image_id for image in second.images) == sorted(second.ids)
    assert {(row["outcome"], row["usd"]) for row in second.ledger("images")} == {("reused", Decimal(0))}
    assert all(studio.store.head(image.key) is not None for image in second.images)


@pytest.mark.parametrize("output", [Output(format="webp"), Output(format="jpeg"), Output(metadata="none")], ids=repr)
def test_image_is_reused_only_in_the_form_that_is_asked_for(studio: Studio, output: Output) -> None:
    """Another format, or a file without the prompt in it, is rendered."""
    studio.drive(studio.prepare(name="first"))
    second = studio.prepare(name="second", output=output)
    status = studio.drive(second)
    assert (status.state, status.reused, status.rendered) == (JobState.SUCCEEDED, 0, 6)
    third = studio.drive(studio.prepare(name="third", output=output))
    assert (third.state, third.reused, third.rendered) == (JobState.SUCCEEDED, 6, 0)


def test_reused_image_whose_object_is_gone_is_rendered(studio: Studio) -> None:
    """The index is only a hint: what it names is looked for in the store."""
    first = studio.prepare(name="first")
    studio.drive(first)
    for image in first.images[:2]:
        studio.store.delete(image.key)
    second = studio.prepare(name="second")
    status = studio.drive(second)
    assert (status.state, status.reused, status.rendered) == (JobState.SUCCEEDED, 4, 2)
    assert all(studio.store.head(image.key) is not None for image in second.images)
    second.check_books()


def test_job_that_adds_prompts_renders_only_those(studio: Studio) -> None:
    """Half of a larger job is there already."""
    studio.drive(studio.prepare(name="first", prompts=4))
    status = studio.drive(studio.prepare(name="second", prompts=10))
    assert (status.state, status.reused, status.rendered) == (JobState.SUCCEEDED, 4, 6)


def test_resubmitting_a_finished_job_renders_nothing(studio: Studio) -> None:
    """The same counts, the same records, the same cost, and no worker."""
    prepared = studio.prepare(images=3)
    first = studio.drive(prepared)
    records = prepared.records
    again = studio.drive(prepared)
    assert not studio.workers_were_started
    assert (again.state, again.rendered, again.rendered_now) == (JobState.SUCCEEDED, 18, 0)
    assert again.usd == first.usd
    assert prepared.records == records
    prepared.check_books()


def test_model_that_cannot_be_loaded_stops_the_job_with_its_reason(studio: Studio) -> None:
    """Nothing is recorded against any image, and the time that it took is in the books."""
    prepared = studio.prepare(fail_load="the weights are gone", load_seconds="3")
    status = studio.drive(prepared)
    assert status.state is JobState.STOPPED
    assert "the weights are gone" in status.message
    assert (status.rendered, status.failed) == (0, 0)
    assert prepared.records == []
    assert status.usd > 0
    prepared.check_books()


def test_voided_record_is_rendered_again_and_its_cost_was_lost_to_failure(studio: Studio) -> None:
    """A repair takes a record back: what it cost is shown as lost, and every image is there in the end."""
    prepared = studio.prepare(prompts=8)
    first = studio.drive(prepared)
    assert prepared.spent("lost_to_failure") == 0
    bad = prepared.records[0]
    for image in bad.images:
        studio.store.delete(image.key)
    put_record(
        studio.store, Record(job=bad.job, task=bad.task, attempt="repair", sequence=0, node=None, voids=(bad.name,))
    )
    again = studio.drive(prepared)
    assert (again.state, again.rendered, again.rendered_now) == (JobState.SUCCEEDED, 8, len(bad.images))
    assert again.usd > first.usd
    counted = Counter(row["image_id"] for row in prepared.ledger("images") if row["outcome"] == "rendered")
    assert counted == Counter(prepared.ids)
    assert bad.usd > 0
    assert prepared.spent("lost_to_failure") == bad.usd
    assert all(studio.store.head(image.key) is not None for image in prepared.images)
    prepared.check_books()


def test_voided_failure_is_tried_again(studio: Studio) -> None:
    """A failure that is taken back counts no longer."""
    prepared = studio.prepare(prompts=9, prompt=troubled)
    studio.drive(prepared)
    (refused,) = [record for record in prepared.records if record.images[0].cause == Cause.BAD_REQUEST]
    put_record(
        studio.store,
        Record(job=refused.job, task=refused.task, attempt="retry", sequence=0, node=None, voids=(refused.name,)),
    )
    again = studio.drive(prepared)
    assert studio.workers_were_started
    assert (again.state, again.rendered, again.failed) == (JobState.COMPLETED_WITH_FAILURES, 5, 4)
    prepared.check_books()


class SlanderingCompute(WatchedCompute):
    """It says once that a worker was lost, which goes on nevertheless and commits what it had.

    Args:
        early: whether it commits before another worker has taken its task over; else right after that one's commit.
    """

    def __init__(self, *, early: bool, **values: Any) -> None:
        super().__init__(**values)
        self._early = early
        self._slandered: tuple[Worker, Assignment] | None = None
        self._done = False

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """As always, but for the one lie and what comes of it."""
        if self._slandered is None:
            busy = sorted(name for name, (_, inbox) in self._workers.items() if inbox)
            if not busy:
                return super().events(timeout_seconds=timeout_seconds)
            worker, inbox = self._workers.pop(busy[0])
            self._slandered = worker, inbox[0]
            self._start(int(busy[0].rpartition("-")[2]))
            return [WorkerLost(worker=busy[0], at_ns=self._clock.now_ns(), cause=Cause.INFRASTRUCTURE, message="gone")]
        if self._early:
            self._commit()
        told = super().events(timeout_seconds=timeout_seconds)
        task = self._slandered[1].task
        if any(isinstance(event, BatchCommitted) and event.record.task == task for event in told):
            self._commit()
        return told

    def _commit(self) -> None:
        """Let the worker that was said to be lost do its work, once; nobody hears of it."""
        if self._slandered is not None and not self._done:
            self._done = True
            worker, assignment = self._slandered
            worker.work(assignment)


@pytest.mark.parametrize("early", [True, False])
def test_racing_attempts_both_count_as_spending_and_once_as_images(studio: Studio, *, early: bool) -> None:
    """Of two records of the same images the earlier one counts; the other is `duplicate`, paid for and shown so."""
    prepared = studio.prepare(prompts=4)
    status = studio.drive(prepared, compute=lambda **values: SlanderingCompute(early=early, **values))
    assert (status.state, status.rendered, status.workers_lost) == (JobState.SUCCEEDED, 4, 1)
    named = Counter(image.image_id for image in prepared.images)
    assert sorted(named.values()) == [1, 1, 2, 2]
    rows = prepared.ledger("images")
    assert sorted(row["image_id"] for row in rows if row["outcome"] == "rendered") == sorted(prepared.ids)
    twice = [row for row in rows if row["outcome"] == "duplicate"]
    assert {row["image_id"] for row in twice} == {image_id for image_id, count in named.items() if count == 2}
    assert all(row["usd"] == 0 for row in twice)
    assert sum(row["spent_usd"] for row in twice) == prepared.spent("duplicate") > 0
    (second,) = {row["attempt_id"] for row in twice}
    first = {row["attempt_id"] for row in rows if row["outcome"] == "rendered" and row["image_id"] in named}
    assert second not in first
    assert second == ("a2" if early else "a0")
    prepared.check_books()


class SlowCommits(WatchedCompute):
    """It keeps back all news of commits until its devices have nothing left to do."""

    kept: tuple[WorkerEvent, ...] = ()
    most_kept = 0

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """What the devices do at once, the rest late."""
        told = super().events(timeout_seconds=timeout_seconds)
        late = [event for event in told if isinstance(event, BatchCommitted | AttemptEnded)]
        self.kept += tuple(late)
        if late or any(inbox for _, inbox in self._workers.values()):
            return [event for event in told if event not in late]
        self.most_kept = max(self.most_kept, sum(isinstance(event, AttemptEnded) for event in self.kept))
        released, self.kept = self.kept, ()
        return [*released, *told]


def test_device_gets_its_next_task_while_the_last_ones_are_still_committed(studio: Studio) -> None:
    """However long commits take: a task that has left the device holds up no other."""
    prepared = studio.prepare(prompts=16)
    made: list[SlowCommits] = []

    def slow(**values: Any) -> WatchedCompute:
        made.append(SlowCommits(**values))
        return made[-1]

    status = studio.drive(prepared, compute=slow)
    assert (status.state, status.rendered) == (JobState.SUCCEEDED, 16)
    assert made[0].most_kept > 2 * 2  # two workers, each with one task on its device and one beside it
    prepared.check_books()


def test_task_that_always_kills_its_worker_is_given_up(studio: Studio) -> None:
    """After a few tries in a row its images fail for this reason, and the job comes to its end."""
    prepared = studio.prepare(prompts=2)
    status = studio.drive(prepared, compute=lambda **values: WatchedCompute(**(values | {"store": studio.deadly()})))
    assert (status.state, status.failed, status.workers_lost) == (JobState.COMPLETED_WITH_FAILURES, 2, 9)
    assert {image.cause for image in prepared.images} == {Cause.INFRASTRUCTURE}
    assert prepared.spent("lost_to_failure") > 0
    prepared.check_books()
