"""Takes records in, whoever found them: counts their images, and remembers what the output gate refused."""

from pipeline.driving.handout import Given
from pipeline.driving.retries import Retries
from pipeline.driving.standing import Standing
from pipeline.plan import task_number
from pipeline.record import Cause, Outcome, Record


class Intake:
    """The one way by which a record is counted.

    Args:
        standing: the job.
        retries: told of refused pictures.
    """

    def __init__(self, standing: Standing, retries: Retries) -> None:
        self._standing, self._retries = standing, retries
        self.first_render_ns = 0
        """When the first batch that this driver heard of took its device; 0 before that."""

    def enter(self, record: Record, *, given: Given | None = None, worker: str = "") -> None:
        """A record is in the store: count its images, once.

        Args:
            record: it.
            given: the attempt that it belongs to, if it is still known.
            worker: who rendered it; empty when nobody can tell, and then each attempt counts as a process of its own.
        """
        standing = self._standing
        task = task_number(record.task)
        bucket = standing.plan.bucket_of(task)
        if standing.books.known(bucket, record.name):
            return
        standing.books.enter(record, bucket)
        places = given.places if given else self._places(task)
        found = [(places[image.image_id], image) for image in record.images if image.image_id in places]
        for place, image in found:
            if image.outcome is Outcome.REFUSED:
                process = worker or f"attempt {record.attempt}"
                self._retries.doubt(place, Cause(image.cause), image.message, worker=process)
        now_ns = standing.clock.now_ns()
        results = [(place, image.outcome) for place, image in found if image.outcome is not Outcome.REFUSED]
        new = standing.progress.enter(task, results, now_ns)
        self.first_render_ns = self.first_render_ns or record.started_ns or now_ns
        if given:
            given.committed(record)
            given.progressed = given.progressed or new > 0
        if standing.progress.missing_of_bucket(bucket) == 0:
            standing.books.start_sealing(bucket)

    def _places(self, task: int) -> dict[str, int]:
        """Image id -> place in the plan, for a task."""
        plan, table = self._standing.plan, self._standing.table
        places = list(plan[task].places)
        rows = table.rows(plan.positions[places].tolist())
        return {row.image_id: place for row, place in zip(rows, places, strict=True)}
