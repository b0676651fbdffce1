"""How large an attempt's batches are: as it was told, as a search for the best size wants them, or the renderer's own.

Never larger than what fits.
"""

from pipeline.assignment import Assignment
from pipeline.events import BatchTuned
from pipeline.ports import Compilable, Renderer
from pipeline.working.tuner import Tuner
from pipeline.working.workplace import Workplace, shape_of


class Sizing:
    """The batch size of one attempt, which may change from batch to batch while a worker measures.

    Args:
        assignment: may name a size, the largest that fits, or ask for measuring.
        renderer: has a size of its own.
        workplace: of the worker; keeps the searches and what did not fit.
    """

    def __init__(self, assignment: Assignment, renderer: Renderer, workplace: Workplace) -> None:
        self._assignment, self._renderer, self._workplace = assignment, renderer, workplace
        self._variant = assignment.requests[0].variant
        self._tuner = None if assignment.batch_size else self._find_tuner()

    def size(self, images: int) -> int:
        """For so many images that wait."""
        most = self._most()
        if self._tuner is None:
            size = self._assignment.batch_size
        else:
            before = self._tuner.chosen
            if most is not None:
                self._tuner.limit(most)
            self._tell(before)
            size = self._tuner.wanted if self._tuner.wanted <= images else self._tuner.so_far
        size = size or self._renderer.batch_size(self._variant)
        return min(size, most or size)

    @property
    def searching(self) -> bool:
        """Whether the best size is not known yet."""
        return self._tuner is not None and self._tuner.chosen is None

    def measured(self, size: int, seconds: float) -> None:
        """A full batch of this size had the device for so long."""
        if self._tuner is not None:
            before = self._tuner.chosen
            self._tuner.rendered(size, seconds)
            self._tell(before)

    def _most(self) -> int | None:
        """The largest size that fits, as far as is known."""
        known = (self._assignment.most_at_once, self._workplace.most_at_once.get(shape_of(self._variant)))
        return min((size for size in known if size), default=None)

    def _find_tuner(self) -> Tuner | None:
        """The search for the best size, begun where the assignment asks for one; None: none was ever asked for."""
        tuners, most = self._workplace.tuners, self._assignment.tune_to
        if most and self._variant not in tuners:
            usual = self._renderer.batch_size(self._variant)
            first = usual // 2 if self._compiled_at_once(usual) else 1
            tuners[self._variant] = Tuner(first=first, most=most)
        return tuners.get(self._variant)

    def _compiled_at_once(self, size: int) -> bool:
        """Whether each size that is tried is compiled by itself, which takes longer than its batch."""
        terms = None
        if isinstance(self._renderer, Compilable):
            terms = self._renderer.uncompiled(self._variant, batch_size=size)
        return terms is not None and terms.must

    def _tell(self, before: int | None) -> None:
        """Let the driver know what a search came to, when it has come to something new."""
        workplace, tuner = self._workplace, self._tuner
        if tuner is None or tuner.chosen is None or tuner.chosen == before:
            return
        workplace.emit(
            BatchTuned(
                worker=workplace.worker,
                at_ns=workplace.clock.now_ns(),
                attempt=self._assignment.attempt,
                size=tuner.chosen,
                seconds=tuner.seconds,
            )
        )
