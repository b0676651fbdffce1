"""What comes back to the driver: it is looked for in the store, decided on, queued again or recorded as failed."""

import logging
from collections import Counter
from collections.abc import Callable

from pipeline.driving.intake import Intake
from pipeline.driving.retries import Failure, Retries, Returned
from pipeline.driving.standing import Standing
from pipeline.driving.task_queue import TaskQueue
from pipeline.errors import StoreUnavailableError
from pipeline.ledger.buckets import read_records, record_infos
from pipeline.plan import task_id
from pipeline.record import Cause, Outcome, RecordedImage, driver_record
from pipeline.working.batch_record import one_line
from pipeline.working.commit import put_record

_LOG = logging.getLogger(__name__)

_UNSURE = {Cause.STORE_UNAVAILABLE, Cause.INFRASTRUCTURE}
"""Ends after which a record may be in the store although nobody heard of it."""


class Returns:
    """Attempts that are over and did not bring all of their images.

    Args:
        standing: the job.
        queue: where work waits.
        retries: decides.
        intake: told of records of which no event came, and of those of failures.
        store_failed: told when the store does not answer.
    """

    def __init__(
        self,
        *,
        standing: Standing,
        queue: TaskQueue,
        retries: Retries,
        intake: Intake,
        store_failed: Callable[[str], None],
    ) -> None:
        self._standing, self._queue, self._retries, self._intake = standing, queue, retries, intake
        self._store_failed = store_failed
        self._waiting: list[Returned] = []
        self._unrecorded: list[tuple[int, list[Failure]]] = []
        self._hopeless: Callable[[int], bool] = lambda _task: False
        self.counts: Counter[str] = Counter()
        """Retries by cause."""
        self._given_up, self._given_up_at, self._last = 0, 0, ""

    @property
    def waiting(self) -> bool:
        """Whether anything is not dealt with yet."""
        return bool(self._waiting or self._unrecorded)

    @property
    def hopeless(self) -> str:
        """Why going on makes no sense: one image after the other is given up, and none is rendered; empty else."""
        limit, progress = self._standing.policy.give_ups, self._standing.progress
        if self._given_up < limit or self._given_up_at != progress.rendered_now:
            return ""
        return f"{self._given_up} images in a row were given up, and none was rendered between: {self._last}"

    def add(self, back: Returned) -> None:
        """Take an attempt back; dealt with by the next `take`."""
        self._waiting.append(back)

    def give_up_tasks(self, hopeless: Callable[[int], bool]) -> None:
        """Queue no piece of these tasks again."""
        self._hopeless = hopeless
        self._queue.take_out(hopeless)

    def take(self) -> None:
        """Deal with what came back; what needs a store that does not answer waits."""
        waiting, self._waiting = self._waiting, []
        for back in waiting:
            try:
                if back.died or back.cause in _UNSURE:
                    self._find_records(back)
            except StoreUnavailableError as error:
                self._store_failed(str(error))
                self._waiting.append(back)
                continue
            self._deal_with(back)
        unrecorded, self._unrecorded = self._unrecorded, []
        for task, failures in unrecorded:
            self.record(task, failures)

    def record(self, task: int, failures: list[Failure]) -> None:
        """Commit that these images of a task are given up."""
        standing = self._standing
        rows = standing.table.rows(standing.plan.positions[[failure.place for failure in failures]].tolist())
        images = tuple(
            RecordedImage(
                image_id=row.image_id,
                outcome=Outcome.FAILED,
                cause=failure.cause,
                message=one_line(failure.message),
                tags=row.tags,
            )
            for row, failure in zip(rows, failures, strict=True)
        )
        if self._given_up_at != standing.progress.rendered_now:
            self._given_up, self._given_up_at = 0, standing.progress.rendered_now
        self._given_up += sum(failure.cause is Cause.INFRASTRUCTURE for failure in failures)
        self._last = failures[-1].message
        record = driver_record(standing.job.id, task_id(task), standing.new_attempt(), images)
        try:
            put_record(standing.store, record)
        except StoreUnavailableError as error:
            self._store_failed(str(error))
            self._unrecorded.append((task, failures))
        else:
            self._intake.enter(record)

    def _find_records(self, back: Returned) -> None:
        """Enter records of a task of which no event came. Raises: StoreUnavailableError."""
        standing, task = self._standing, back.piece.task
        infos = list(record_infos(standing.store, standing.job, range(task, task + 1)))
        bucket = standing.plan.bucket_of(task)
        new = [info for info in infos if not standing.books.known(bucket, _name(info.key))]
        for stored in read_records(standing.store, new, standing.executor):
            mine = stored.record.attempt == back.attempt
            self._intake.enter(stored.record, worker=back.worker if mine else "")

    def _deal_with(self, back: Returned) -> None:
        """Queue it again, or what is left to try of it, or record its failures."""
        task = back.piece.task
        missing = sorted(set(self._standing.progress.missing_places(task)) & set(back.piece.places or ()))
        if not missing:
            return
        self.counts[back.cause.value] += 1
        _LOG.info(
            "retry: cause=%s task=%s worker=%s images=%d: %s",
            back.cause.value,
            task_id(task),
            back.worker,
            len(missing),
            one_line(back.message),
        )
        verdict = self._retries.decide(back, missing)
        now_ns = self._standing.clock.now_ns()
        for piece, wait_seconds in verdict.again:
            if not self._hopeless(task):
                self._queue.put(piece, due_ns=now_ns + round(wait_seconds * 1e9))
        if verdict.failed:
            self.record(task, verdict.failed)


def _name(key: str) -> str:
    """A record's name from its key."""
    return key.rpartition("/")[2].removesuffix(".json")
