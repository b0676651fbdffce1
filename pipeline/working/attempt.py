"""The life of one task on one worker: batch after batch, render -> check -> encode -> put images -> put record.

Denoising happens in the caller's thread; what follows it in the stages' threads (`finishing.py`), while the
next batch denoises. A batch that fails as a whole is made smaller here as long as the process is to be trusted; what
fails even alone is told as a suspect, and the driver decides what it means.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.assignment import Assignment
from pipeline.causes import cause_of, poisons
from pipeline.errors import HandedBackError, SpotrenderError, StoreRefusedError
from pipeline.events import AttemptEnded, Bottleneck, DeviceWaits, DidNotFit, Suspect
from pipeline.log_place import said_at
from pipeline.ports import Foreseeing, Interruptible, Renderer
from pipeline.record import Cause
from pipeline.request import Request
from pipeline.working.compiling import Compiling
from pipeline.working.device import Taking
from pipeline.working.finishing import Batch, Finishing
from pipeline.working.sizing import Sizing
from pipeline.working.workplace import Workplace, shape_of

_LOG = logging.getLogger(__name__)

_SLOT_SECONDS = 0.2
"""How often somebody who waits for a slot looks whether the worker is to leave."""


@dataclass(slots=True)
class _End:
    """How an attempt ends; the first reason counts."""

    cause: Cause = Cause.SUCCEEDED
    message: str = ""
    blamed: tuple[int, ...] = ()
    poisoned: bool = False
    store_refused: bool = False


class Attempt:
    """One try at one task. `run` returns when the device is free again; the end is told by an event."""

    def __init__(self, assignment: Assignment, renderer: Renderer, workplace: Workplace, compiling: Compiling) -> None:
        self._assignment, self._renderer, self._workplace = assignment, renderer, workplace
        self._compiling = compiling
        self._variant = assignment.requests[0].variant
        self._sizing = Sizing(assignment, renderer, workplace)
        self._lock = threading.Lock()
        self._open = 1  # the device loop itself counts as one, so that the end is told once
        self._in_loop, self._told = True, False
        self._sequence = self._begun = 0
        self._current: tuple[Batch, int] | None = None
        self._suspects: list[Suspect] = []
        self._bisected = self._preparing = False
        self._end = _End()
        self._finishing = Finishing(
            assignment, renderer, workplace, failed=self._failed, refused=self._refused, over=self._close_one
        )

    def run(self) -> None:
        """Denoise batch after batch; never raises, but for what ends the process."""
        with said_at(**self._workplace.place, task=self._assignment.task, attempt=self._assignment.attempt):
            _LOG.debug("attempt begins: %d images", len(self._assignment.requests))
            self._run()

    def _run(self) -> None:
        if isinstance(self._renderer, Foreseeing):
            self._renderer.expect(self._assignment.requests)
        waiting = self._cut(range(len(self._assignment.requests)))
        while waiting and self._end.cause is Cause.SUCCEEDED:
            batch = waiting.popleft()
            try:
                self._denoise(batch)
            except Exception as error:  # noqa: BLE001 - whatever a pipeline raises ends the attempt, not the worker
                waiting = self._after(error, batch, waiting)
            else:
                waiting = self._tuned(waiting)
        self._leave_loop()

    def notice(self, deadline_ns: int) -> None:
        """The node will be gone at the deadline: end at once if the batch on the device cannot be committed by then.

        Called from another thread, after `Workplace.leaving` began to say so; a batch that fits is finished.
        """
        with self._lock:
            current, preparing = self._current, self._preparing
        if preparing:
            self._hand_back("the model was being compiled")
        if current is None:
            return
        batch, started_ns = current
        now_ns = self._workplace.clock.now_ns()
        left = self._workplace.pace.left_seconds(self._variant, batch.size, elapsed_seconds=(now_ns - started_ns) / 1e9)
        if left is None or now_ns + left * 1e9 <= deadline_ns:
            return
        have = max(0.0, (deadline_ns - now_ns) / 1e9)
        self._hand_back(f"the batch needs {left:.1f} s more and the node has {have:.1f} s")

    def _hand_back(self, message: str) -> None:
        """End at once; nobody waits for what the device has."""
        self._fail(_End(Cause.HANDED_BACK, message))
        self._leave_loop()
        if isinstance(self._renderer, Interruptible):
            self._renderer.interrupt()

    def _cut(self, places: Iterable[int]) -> deque[Batch]:
        """Places as batches of the size that is to be tried now."""
        some = tuple(places)
        size = self._sizing.size(len(some))
        return deque(Batch(places=some[i : i + size], size=size) for i in range(0, len(some), size))

    def _tuned(self, waiting: deque[Batch]) -> deque[Batch]:
        """What waits, cut anew if another size is to be tried or was found best."""
        places = tuple(place for batch in waiting for place in batch.places)
        if self._bisected or not places or waiting[0].size == self._sizing.size(len(places)):
            return waiting
        return self._cut(places)

    def _denoise(self, batch: Batch) -> None:
        """Take the device, denoise, and send the latents on their way."""
        workplace = self._workplace
        self._take_slot()
        sequence = self._next()
        key = (self._assignment.attempt, sequence)
        try:
            if why := workplace.leaving():
                raise HandedBackError(why)
            requests = [self._assignment.requests[place] for place in batch.places]
            self._prepare(requests, batch.size)
            if why := workplace.leaving():
                raise HandedBackError(why)
            with self._lock:
                self._current = batch, workplace.clock.now_ns()
            workplace.device.take(Taking(key=key, places=batch.places, size=batch.size))
            started_ns = workplace.clock.now_ns()
            try:
                latents = self._renderer.denoise(requests, batch_size=batch.size)
                profile = self._renderer.profile(self._variant, batch_size=batch.size)
            except BaseException:
                workplace.device.leave(key)
                raise
        except BaseException:
            workplace.slots.release()
            raise
        finally:
            with self._lock:
                self._current = None
        denoise_ns = workplace.clock.now_ns() - started_ns
        workplace.pace.rendered(self._variant, batch.size, denoise_ns / 1e9)
        if len(batch.places) == batch.size:
            self._sizing.measured(batch.size, denoise_ns / 1e9)
        self._begun += len(batch.places)
        with self._lock:
            self._open += 1
        self._finishing.begin(batch, sequence, latents, denoise_ns, profile)

    def _prepare(self, requests: list[Request], size: int) -> None:
        """Compile before the batch where that is due; a notice may come meanwhile."""
        with self._lock:
            self._preparing = True
        try:
            if_pays = not self._sizing.searching
            self._compiling.before(self._renderer, requests, size=size, ahead=self._ahead(), if_pays=if_pays)
        finally:
            with self._lock:
                self._preparing = False

    def _ahead(self) -> int:
        """Images of this model and shape that this worker may still expect, the next batch included."""
        return max(self._assignment.images_ahead, len(self._assignment.requests)) - self._begun

    def _take_slot(self) -> None:
        """Wait until a batch may be begun, and say so. Raises: HandedBackError: the worker is to leave."""
        workplace = self._workplace
        waits_for: Bottleneck | None = None
        while True:
            if why := workplace.leaving():
                raise HandedBackError(why)
            if workplace.slots.acquire(timeout=_SLOT_SECONDS):
                break
            waits_for = workplace.backlog.narrowest()
            self._say_waiting(waits_for)
        if waits_for is None:
            self._say_waiting(None)

    def _say_waiting(self, waits_for: Bottleneck | None) -> None:
        """Tell the driver what the device waits for, or that it does not, if it does not know that yet."""
        workplace = self._workplace
        if workplace.backlog.said != waits_for:
            workplace.backlog.said = waits_for
            workplace.emit(DeviceWaits(worker=workplace.worker, at_ns=workplace.clock.now_ns(), waits_for=waits_for))

    def _after(self, error: Exception, batch: Batch, waiting: deque[Batch]) -> deque[Batch]:
        """What is left to try after a batch failed as a whole."""
        cause, message = cause_of(error, rendering=True), _said(error)
        _LOG.info("a batch of %d ended: %s", len(batch.places), cause.value, exc_info=error)
        if cause is Cause.OUT_OF_MEMORY:
            return self._smaller(batch, waiting, message)
        if cause is not Cause.BAD_REQUEST or poisons(error):
            self._failed(batch, error, True)  # noqa: FBT003 - the renderer had it
            return waiting
        if len(batch.places) == 1:
            self._suspects.append(Suspect(place=batch.places[0], cause=cause, message=message))
            return waiting
        middle, self._bisected = len(batch.places) // 2, True
        waiting.extendleft(
            Batch(places=places, size=batch.size) for places in (batch.places[middle:], batch.places[:middle])
        )
        return waiting

    def _smaller(self, batch: Batch, waiting: deque[Batch], message: str) -> deque[Batch]:
        """The batch and all that wait, in smaller batches; one that does not fit even alone is a suspect."""
        if batch.size == 1:
            self._suspects.append(Suspect(place=batch.places[0], cause=Cause.OUT_OF_MEMORY, message=message))
            return waiting
        self._learn(batch)
        return self._cut([*batch.places, *(place for other in waiting for place in other.places)])

    def _learn(self, batch: Batch) -> None:
        """A batch of this size does not fit: this worker tries none again, and the driver tells the others."""
        workplace, shape = self._workplace, shape_of(self._variant)
        half = max(1, batch.size // 2)
        workplace.most_at_once[shape] = min(half, workplace.most_at_once.get(shape, half))
        model, precision, width, height = shape
        workplace.emit(
            DidNotFit(
                worker=workplace.worker,
                at_ns=workplace.clock.now_ns(),
                model=model,
                precision=precision,
                width=width,
                height=height,
                size=batch.size,
            )
        )

    def _failed(self, batch: Batch, error: Exception, rendering: bool) -> None:  # noqa: FBT001 - called by two places
        """A batch cannot be finished in this attempt."""
        cause, message = cause_of(error, rendering=rendering), _said(error)
        poisoned = cause is Cause.BAD_REQUEST and poisons(error)
        blamed = batch.places if cause in {Cause.BAD_REQUEST, Cause.INFRASTRUCTURE} else ()
        if poisoned:
            self._workplace.poison(message)
        if cause is Cause.OUT_OF_MEMORY and batch.size > 1:
            self._learn(batch)
        elif cause is Cause.OUT_OF_MEMORY:
            with self._lock:
                self._suspects.extend(Suspect(place=place, cause=cause, message=message) for place in batch.places)
        self._fail(_End(cause, message, blamed, poisoned, isinstance(error, StoreRefusedError)))

    def _refused(self, message: str) -> None:
        """The gate refused pictures of a batch that is otherwise committed; the attempt goes on."""
        with self._lock:
            self._end.message = self._end.message or message

    def _fail(self, end: _End) -> None:
        """Keep the first reason why this attempt is over."""
        with self._lock:
            if self._end.cause is Cause.SUCCEEDED:
                self._end = end

    def _next(self) -> int:
        """A sequence number."""
        with self._lock:
            self._sequence += 1
            return self._sequence - 1

    def _leave_loop(self) -> None:
        """The device loop is over, or nobody waits for the batch that it still has."""
        with self._lock:
            left, self._in_loop = not self._in_loop, False
        if not left:
            self._close_one()

    def _close_one(self) -> None:
        """One part is over; the last one tells the attempt's end."""
        with self._lock:
            self._open -= 1
            over = self._open == 0 and not self._told
            self._told = self._told or over
            end, suspects = self._end, tuple(self._suspects)
        if not over:
            return
        if end.cause is Cause.SUCCEEDED and (suspects or end.message):
            cause = Cause(suspects[0].cause) if suspects else Cause.BAD_OUTPUT
            end = _End(cause, suspects[0].message if suspects else end.message)
        _LOG.debug("attempt ended: %s: %s", end.cause.value, end.message)
        self._workplace.emit(
            AttemptEnded(
                worker=self._workplace.worker,
                task=self._assignment.task,
                attempt=self._assignment.attempt,
                cause=end.cause,
                message=end.message,
                at_ns=self._workplace.clock.now_ns(),
                suspects=suspects,
                blamed=end.blamed,
                poisoned=end.poisoned,
                store_refused=end.store_refused,
            )
        )


def _said(error: Exception) -> str:
    """The message of an error of ours; any other one with its name."""
    return str(error) if isinstance(error, SpotrenderError) else f"{type(error).__name__}: {error}"
