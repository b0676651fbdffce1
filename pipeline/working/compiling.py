"""When a worker compiles: before a batch of a shape that is not compiled yet, if what is left repays it.

The time that it takes is start-up in the books and no image's. How long a batch takes without it is measured on the
first one, unless an earlier worker of this kind has left its figures in the store.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.memory.compile_memory import CompileMemory
from pipeline.ports import Clock, Compilable, Renderer
from pipeline.request import Request, Variant
from pipeline.working.compile_decision import CompileTerms, balance, refusal
from pipeline.working.device import Device, Making
from pipeline.working.stages import Stages
from pipeline.working.workplace import Pace


class Compiling:
    """Of one worker; for the thread that denoises.

    Args:
        clock: measures.
        device: whose time compiling takes.
        pace: how long batches took.
        stages: where results are written, beside the next batch.
        memory: what others measured and compiled.
        remark: called with what a remark is about, and with the remark.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        device: Device,
        pace: Pace,
        stages: Stages,
        memory: CompileMemory,
        remark: Callable[[str, str], None],
    ) -> None:
        self._clock, self._device, self._pace, self._stages = clock, device, pace, stages
        self._memory, self._remark = memory, remark
        self._unmeasured: dict[tuple[Variant, int], str] = {}
        self._said: set[str] = set()

    def before(
        self, renderer: Renderer, batch: Sequence[Request], *, size: int, ahead: int, if_pays: bool = True
    ) -> None:
        """Compile if this batch's shape is not compiled and that pays; else return at once.

        Args:
            renderer: that is to denoise it.
            batch: of one variant.
            size: device batch shape.
            ahead: images of its model and shape that are left for this worker, this batch included.
            if_pays: False: only if the user asked for it, as this size is not here to stay.

        Raises:
            SpotrenderError: what `denoise` raises of a batch.
        """
        if not isinstance(renderer, Compilable):
            return
        variant = batch[0].variant
        terms = renderer.uncompiled(variant, batch_size=size)
        if terms is None:
            self._measure(variant, size)
        elif terms.must or (if_pays and self._pays(terms, variant, size, ahead)):
            self._compile(renderer, terms, batch, size)

    def _pays(self, terms: CompileTerms, variant: Variant, size: int, ahead: int) -> bool:
        """Whether it repays itself; not before anybody knows how long an image takes."""
        known = self._memory.experience(terms.key)
        step = self._step_seconds(variant, size) or known.eager_step_seconds
        if step is None:
            if ahead <= size:
                self._say(f"not compiled {terms.key}", f"{terms.what}: not compiled: there is no second batch of it")
            return False
        weighed = balance(
            terms,
            known,
            images=ahead,
            seconds_per_image=step * variant.steps,
            cached=self._memory.has_code(terms.key),
        )
        if not weighed.pays:
            self._say(f"not compiled {terms.key}", refusal(terms, weighed))
        return weighed.pays

    def _compile(self, renderer: Compilable, terms: CompileTerms, batch: Sequence[Request], size: int) -> None:
        """Compile, and leave to others what came of it."""
        variant, key = batch[0].variant, terms.key
        eager = self._step_seconds(variant, size)
        with self._device.made_ready(Making(what="compile", message=terms.what)):
            started_ns = self._clock.now_ns()
            code, trouble = self._memory.code(key)
            if trouble:
                self._say(f"code {key}", f"compiled code of {terms.what}: {trouble}")
            compiled = renderer.compile(batch, batch_size=size, code=code)
            seconds = (self._clock.now_ns() - started_ns) / 1e9
        if compiled.problem:
            self._say(f"compile {key}", f"{terms.what}: rendered without compilation: {compiled.problem}")
            return
        self._pace.forget(variant, size)
        self._unmeasured[variant, size] = key
        known = self._memory.experience(key)
        known = replace(known, cached_seconds=seconds) if compiled.reused else replace(known, seconds=seconds)
        self._memory.learn(key, replace(known, eager_step_seconds=eager or known.eager_step_seconds))
        self._save(key, b"" if compiled.reused else compiled.code)

    def _measure(self, variant: Variant, size: int) -> None:
        """Once two batches were rendered with it, what compiling gained is known."""
        key = self._unmeasured.get((variant, size))
        if key is None or (step := self._step_seconds(variant, size, least=2)) is None:
            return
        del self._unmeasured[variant, size]
        self._memory.learn(key, replace(self._memory.experience(key), compiled_step_seconds=step))
        self._save(key, b"")

    def _say(self, about: str, message: str) -> None:
        """Remark it, once."""
        if about not in self._said:
            self._said.add(about)
            self._remark(about, message)

    def _save(self, key: str, code: bytes) -> None:
        self._stages.commit(functools.partial(self._memory.save, key, code))

    def _step_seconds(self, variant: Variant, size: int, *, least: int = 1) -> float | None:
        """What one step of one image takes, as batches of this shape were measured; None when too few were."""
        seconds = self._pace.batch_seconds(variant, size, least=least)
        return None if seconds is None else seconds / size / variant.steps
