"""What follows when a batch has been denoised: decode, check, encode, put images, put the record; on other threads.

A store that does not answer costs no picture: what is finished waits in memory, within the worker's slots, until the
store answers or the outage has lasted for too long. Meanwhile the device is idle, and the books say so.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from pipeline.assignment import Assignment
from pipeline.errors import StoreUnavailableError
from pipeline.events import BatchCommitted, StoreSilent
from pipeline.log_place import said_at
from pipeline.ports import Picture, Renderer
from pipeline.record import Outcome, Profile, Record, RecordedImage
from pipeline.working.batch_record import BatchFacts, batch_record, finished_image
from pipeline.working.commit import put_images, put_record
from pipeline.working.device import Tenure
from pipeline.working.workplace import Workplace

_LOG = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some images of the task that go through the device together."""

    places: tuple[int, ...]
    """Their places in the assignment."""
    size: int
    """Device batch shape; never less than the number of places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denoised:
    """A batch whose latents are there."""

    batch: Batch
    sequence: int
    profile: Profile
    stages_ns: dict[str, int]
    """Of the stages so far; grows."""
    at_ns: int
    """Since when."""


class Finishing:
    """The second half of an attempt's batches.

    Args:
        assignment: what was asked for.
        renderer: decodes.
        workplace: of the worker.
        failed: told of a batch that cannot be finished, why, and whether the renderer had it then.
        refused: told that the gate refused a picture, and why.
        over: told once for each batch that was begun.
    """

    def __init__(
        self,
        assignment: Assignment,
        renderer: Renderer,
        workplace: Workplace,
        *,
        failed: Callable[[Batch, Exception, bool], None],
        refused: Callable[[str], None],
        over: Callable[[], None],
    ) -> None:
        self._assignment, self._renderer, self._workplace = assignment, renderer, workplace
        self._failed, self._refused, self._over = failed, refused, over

    def begin(self, batch: Batch, sequence: int, latents: Any, denoise_ns: int, profile: Profile) -> None:
        """Take a batch that was denoised under this profile; it gives back the slot and the device that it holds."""
        denoised = _Denoised(
            batch=batch,
            sequence=sequence,
            profile=profile,
            stages_ns={"denoise": denoise_ns},
            at_ns=self._workplace.clock.now_ns(),
        )
        self._workplace.stages.decode(lambda: self._decode(denoised, latents))

    def _decode(self, denoised: _Denoised, latents: Any) -> None:
        """Latents to pictures; then the device needs this batch no more."""
        with self._said_here():
            self._decode_here(denoised, latents)

    def _decode_here(self, denoised: _Denoised, latents: Any) -> None:
        workplace = self._workplace
        started_ns = workplace.clock.now_ns()
        error: Exception | None = None
        pictures: Sequence[Picture] = ()
        try:
            with workplace.backlog.at("decoder"):
                pictures = self._renderer.decode(latents)
        except Exception as caught:  # noqa: BLE001 - reported as the attempt's end
            error = caught
        tenure = workplace.device.leave((self._assignment.attempt, denoised.sequence))
        if error is not None:
            _LOG.info("batch %d cannot be decoded", denoised.sequence, exc_info=error)
            self._failed(denoised.batch, error, True)  # noqa: FBT003 - the renderer had it
            self._let_go()
            return
        denoised.stages_ns["decode"] = workplace.clock.now_ns() - started_ns
        workplace.stages.commit(lambda: self._finish(denoised, pictures, tenure))

    def _finish(self, denoised: _Denoised, pictures: Sequence[Picture], tenure: Tenure) -> None:
        """Gate, encode, put the images, put the record; then say so. Whatever goes wrong ends the attempt."""
        with self._said_here():
            self._finish_here(denoised, pictures, tenure)

    def _finish_here(self, denoised: _Denoised, pictures: Sequence[Picture], tenure: Tenure) -> None:
        try:
            self._commit(denoised, pictures, tenure)
        except Exception as error:  # noqa: BLE001 - reported as the attempt's end
            _LOG.info("batch %d cannot be committed", denoised.sequence, exc_info=error)
            self._failed(denoised.batch, error, False)  # noqa: FBT003 - the renderer had done its part
        finally:
            self._let_go()

    def _commit(self, denoised: _Denoised, pictures: Sequence[Picture], tenure: Tenure) -> None:
        workplace, batch, stages_ns = self._workplace, denoised.batch, denoised.stages_ns
        gauge = workplace.gauge
        use = None if gauge is None else gauge.between(tenure.started_ns, tenure.ended_ns)
        started_ns = workplace.clock.now_ns()
        with workplace.backlog.at("encoder"):
            done = workplace.stages.each(self._image, zip(batch.places, pictures, strict=True))
        stages_ns["encode"] = workplace.clock.now_ns() - started_ns
        started_ns = workplace.clock.now_ns()
        bodies = {image.key: body for image, body in done if body is not None}
        self._patiently(lambda: put_images(workplace.store, bodies))
        stages_ns["upload"] = workplace.clock.now_ns() - started_ns
        facts = BatchFacts(
            sequence=denoised.sequence,
            node=workplace.node,
            gpu_index=workplace.gpu_index,
            profile=denoised.profile,
            started_ns=tenure.started_ns,
            ended_ns=tenure.ended_ns,
            stages_ns=stages_ns,
            memory_bytes=self._renderer.peak_memory_bytes(),
            gpu_use=use,
        )
        record = batch_record(self._assignment, facts, [image for image, _ in done])
        self._patiently(lambda: put_record(workplace.store, record))
        workplace.pace.finished((workplace.clock.now_ns() - denoised.at_ns) / 1e9)
        self._tell(record)

    def _image(self, item: tuple[int, Picture]) -> tuple[RecordedImage, bytes | None]:
        """One picture as the record names it, and its file."""
        place, picture = item
        return finished_image(self._assignment, place, picture)

    def _tell(self, record: Record) -> None:
        """The record is in the store."""
        if _LOG.isEnabledFor(logging.DEBUG):
            stages = ", ".join(f"{stage} {taken / 1e9:.3g} s" for stage, taken in record.stages_ns.items())
            _LOG.debug("batch %d of %d images is committed: %s", record.sequence, len(record.images), stages)
        for image in record.images:
            if image.outcome is Outcome.REFUSED:
                self._refused(image.message)
        self._workplace.emit(BatchCommitted(worker=self._workplace.worker, record=record))

    def _patiently(self, put: Callable[[], None]) -> None:
        """Put, again and again while the store does not answer, as long as an outage may last.

        Raises:
            StoreUnavailableError: it has lasted too long, or the worker is ending.
        """
        clock = self._workplace.clock
        until_ns = clock.now_ns() + round(self._assignment.outage_seconds * 1e9)
        with self._workplace.backlog.at("store"):
            self._put_until(put, until_ns)

    def _put_until(self, put: Callable[[], None], until_ns: int) -> None:
        """See `_patiently`; the outage may last until this instant."""
        clock = self._workplace.clock
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                put()
            except StoreUnavailableError as error:
                if self._workplace.closed() or clock.now_ns() + wait * 1e9 > until_ns:
                    raise
                self._say_of_store(str(error))
                clock.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
            else:
                if wait > _FIRST_WAIT_SECONDS:
                    self._say_of_store("")
                return

    def _say_of_store(self, message: str) -> None:
        """Tell the driver, whom the store may answer while it does not answer this worker."""
        workplace = self._workplace
        workplace.emit(StoreSilent(worker=workplace.worker, at_ns=workplace.clock.now_ns(), message=message))

    def _said_here(self) -> AbstractContextManager[None]:
        """What is logged in the block comes from this attempt."""
        return said_at(**self._workplace.place, task=self._assignment.task, attempt=self._assignment.attempt)

    def _let_go(self) -> None:
        """The batch's slot is free."""
        self._workplace.slots.release()
        self._over()
