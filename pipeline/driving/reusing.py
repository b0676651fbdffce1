"""Commits the images that earlier jobs under this store made, before any GPU is asked for."""

from pipeline.driving.reuse import ReuseMap, find_reusable
from pipeline.driving.standing import Standing
from pipeline.imaging.encode import extension
from pipeline.layout import image_key
from pipeline.plan import task_id
from pipeline.record import Outcome, RecordedImage, driver_record
from pipeline.working.commit import put_record


def commit_reused(standing: Standing) -> None:
    """Find what is missing and was made before, in the form that is wanted, and commit what the store really holds."""
    job, plan, progress, books = standing.job, standing.plan, standing.progress, standing.books
    if not progress.missing:
        return
    found = find_reusable(standing.store, plan, progress.missing_mask(), job.output, standing.executor)
    for task in found.tasks(plan):
        rows = _still_there(standing, found, progress.missing_places(task))
        if not rows:
            continue
        record = driver_record(job.id, task_id(task), standing.new_attempt(), tuple(image for _, image in rows))
        put_record(standing.store, record)
        bucket = plan.bucket_of(task)
        books.enter(record, bucket)
        progress.enter(task, [(place, image.outcome) for place, image in rows], standing.clock.now_ns())
        if progress.missing_of_bucket(bucket) == 0:
            books.start_sealing(bucket)


def _still_there(standing: Standing, found: ReuseMap, places: list[int]) -> list[tuple[int, RecordedImage]]:
    """Which of these images the store really holds, as a record names them."""
    job, plan = standing.job, standing.plan
    candidates = [(place, reusable) for place in places if (reusable := found.get(place)) is not None]
    rows = standing.table.rows(plan.positions[[place for place, _ in candidates]].tolist())
    images = [
        RecordedImage(
            image_id=row.image_id,
            outcome=Outcome.REUSED,
            key=image_key(row.image_id, reusable.sha256, extension(job.output)),
            bytes=reusable.bytes,
            sha256=reusable.sha256,
            tags=row.tags,
        )
        for row, (_, reusable) in zip(rows, candidates, strict=True)
    ]
    infos = standing.executor.map(lambda image: standing.store.head(image.key), images)
    return [
        (place, image)
        for (place, _), image, info in zip(candidates, images, infos, strict=True)
        if info is not None and info.size_bytes == image.bytes
    ]
