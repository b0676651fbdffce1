"""A worker compiles where that repays itself, says why where it does not, and trusts no stranger's code."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.compute.cache_key import CACHE_SECRET, cache_key
from infra.stores.memory import MemoryStore
from pipeline.clock import ManualClock
from pipeline.events import AttemptEnded, DeviceTaken, Preparing, Remark, WorkerEvent
from pipeline.layout import compiled_key
from pipeline.memory.compile_memory import CompileMemory
from pipeline.model import Model
from pipeline.ports import Compiled, Renderer
from pipeline.request import Request, Variant
from pipeline.working.compile_decision import CompileTerms, Experience, balance
from pipeline.working.stages import InlineStages
from pipeline.working.worker import Worker
from tests.pipeline.single_worker import Wrapped, assignment, load_synthetic, node, synthetic_model

TERMS = CompileTerms(
    key="0f" * 16, what="a model at 16x8, 4 at once", must=False, seconds=67.0, cached_seconds=33.5, gain=0.28
)

OURS = b"k" * 32


class Slow(Wrapped):
    """The stand-in at 8 seconds a batch, 4 compiled; compiling takes 60 seconds, 20 with another worker's code."""

    def __init__(self, inner: Renderer, clock: ManualClock, terms: CompileTerms) -> None:
        super().__init__(inner)
        self._clock, self._terms = clock, terms
        self.given: list[bytes] = []
        self.sizes: set[int] = set()
        self.problem = ""
        self.meanwhile: Callable[[], None] = lambda: None

    def denoise(self, batch: Sequence[Request], *, batch_size: int) -> Any:
        """Take the time that it takes."""
        self._clock.advance(4 if batch_size in self.sizes else 8)
        return super().denoise(batch, batch_size=batch_size)

    def uncompiled(self, variant: Variant, *, batch_size: int) -> CompileTerms | None:
        """Until it is, or cannot be."""
        return None if (self.problem and self.given) or batch_size in self.sizes else self._terms

    def compile(self, batch: Sequence[Request], *, batch_size: int, code: bytes) -> Compiled:
        """Take the time that it takes."""
        self.given.append(code)
        self.meanwhile()
        if self.problem:
            return Compiled(problem=self.problem)
        self._clock.advance(20 if code else 60)
        self.sizes.add(batch_size)
        return Compiled(code=b"" if code else b"compiled", reused=bool(code))


class Scene:
    """One worker with such a renderer, on a clock of its own."""

    def __init__(self, store: MemoryStore, *, secret: Callable[[], bytes] = lambda: OURS, must: bool = False) -> None:
        self.clock = ManualClock()
        self.slow = Slow(load_synthetic(synthetic_model()), self.clock, replace(TERMS, must=must))
        self.worker = Worker(
            name="w",
            node=node(),
            gpu_index=0,
            load=self._load,
            model=synthetic_model(),
            store=store,
            clock=self.clock,
            stages=InlineStages(),
            cache_secret=secret,
        )
        self.worker.start()
        self.worker.poll(0)

    def _load(self, _model: Model) -> Renderer:
        return self.slow

    def work(self, images: int, *, ahead: int = 0, attempt: str = "a0") -> list[WorkerEvent]:
        """One attempt in batches of four."""
        given = assignment([f"prompt {attempt} {number}" for number in range(images)], attempt=attempt)
        self.worker.work(replace(given, images_ahead=ahead))
        return self.worker.poll(0)


@pytest.mark.parametrize(
    ("images", "seconds", "cached", "pays"),
    [
        (119, 2.0, False, False),  # 119 x 2 s x 0.28 = 66.64 s
        (120, 2.0, False, True),  # 67.20 s against 67
        (59, 2.0, True, False),  # 33.04 s
        (60, 2.0, True, True),  # 33.60 s against 33.5
        (10_000, 0.02, False, False),  # 56 s
        (12_000, 0.02, False, True),  # 67.2 s
    ],
)
def test_compiling_is_decided_by_arithmetic(*, images: int, seconds: float, cached: bool, pays: bool) -> None:
    """What it saves on the images left, against what it takes; equal is not enough."""
    weighed = balance(TERMS, Experience(), images=images, seconds_per_image=seconds, cached=cached)
    assert weighed.pays is pays
    assert not weighed.measured


def test_what_was_measured_goes_before_what_is_assumed() -> None:
    """A model whose compiled step takes 0.9 of the other one saves a tenth, whatever others publish."""
    known = Experience(seconds=30.0, eager_step_seconds=0.1, compiled_step_seconds=0.09)
    weighed = balance(TERMS, known, images=100, seconds_per_image=2.0, cached=False)
    assert (weighed.measured, weighed.takes_seconds) == (True, 30.0)
    assert weighed.saves_seconds == pytest.approx(20.0)
    slower = replace(known, compiled_step_seconds=0.2)
    assert not balance(TERMS, slower, images=10**9, seconds_per_image=2.0, cached=False).pays


@given(images=st.integers(0, 10**7), seconds=st.floats(0, 1e4), cached=st.booleans())
def test_more_images_never_speak_against_compiling(images: int, seconds: float, cached: bool) -> None:  # noqa: FBT001 - hypothesis names them
    """The longer the job, the sooner it pays; and code at hand never makes it dearer."""
    here = balance(TERMS, Experience(), images=images, seconds_per_image=seconds, cached=cached)
    more = balance(TERMS, Experience(), images=images + 1, seconds_per_image=seconds, cached=cached)
    at_hand = balance(TERMS, Experience(), images=images, seconds_per_image=seconds, cached=True)
    assert more.pays or not here.pays
    assert at_hand.pays or not here.pays


def test_short_job_is_not_compiled_and_says_why_once() -> None:
    """8 images at 2 s each: the first batch is measured, then the arithmetic is told, however many batches follow."""
    scene = Scene(MemoryStore())
    told = scene.work(12, attempt="a0") + scene.work(12, attempt="a1")
    assert scene.slow.given == []
    (remark,) = [event for event in told if isinstance(event, Remark)]
    assert "8 images left" in remark.message
    assert "save 4.5 s and take 67.0 s (assumed)" in remark.message
    assert "compile: on" in remark.message


def test_long_job_is_compiled_after_its_first_batch_and_that_is_start_up() -> None:
    """The batch before was measured; no batch owns the device while it is compiled, and those after it are faster."""
    scene = Scene(MemoryStore())
    told = scene.work(12, ahead=400)
    owners = [
        (event.at_ns, event.what if isinstance(event, Preparing) else event.sequence if event.attempt else None)
        for event in told
        if isinstance(event, DeviceTaken | Preparing)
    ]
    assert [owner for _, owner in owners] == [0, None, "compile", None, 1, None, 2, None]
    seconds = [(after[0] - before[0]) / 1e9 for before, after in itertools.pairwise(owners)]
    assert [round(some) for some in seconds] == [8, 0, 60, 0, 4, 0, 4]


def test_asked_for_it_is_compiled_before_the_first_batch_whatever_it_costs() -> None:
    """`compile: on`, for a single image."""
    scene = Scene(MemoryStore(), must=True)
    scene.work(1)
    assert scene.slow.given == [b""]


def test_next_worker_starts_from_the_code_and_figures_of_the_first() -> None:
    """It needs no batch to measure, decides by what was measured, and takes the code instead of making it."""
    store = MemoryStore()
    Scene(store).work(20, ahead=400)
    values = json.loads(store.get(compiled_key(TERMS.key, "json")))
    assert (values["seconds"], values["eager_step_seconds"], values["compiled_step_seconds"]) == (60, 2, 1)
    second = Scene(store)
    told = second.work(4, ahead=400)
    assert second.slow.given == [b"compiled"]
    assert isinstance(next(event for event in told if isinstance(event, DeviceTaken | Preparing)), Preparing)
    assert json.loads(store.get(compiled_key(TERMS.key, "json")))["cached_seconds"] == 20
    third = Scene(store)
    (remark,) = [event for event in third.work(4, ahead=19) if isinstance(event, Remark)]
    assert "save 19.0 s and take 20.0 s (measured)" in remark.message


def forged(body: bytes) -> bytes:
    """Another user's artifact: well signed, with another key."""
    store = MemoryStore()
    CompileMemory(store, secret=lambda: b"x" * 32).save(TERMS.key, body)
    return store.get(compiled_key(TERMS.key, "bin"))


@pytest.mark.parametrize(
    "body",
    [forged(b"evil"), b"", b"short", bytes(200)],
    ids=["of-another-user", "empty", "short", "zeros"],
)
def test_strange_code_is_never_loaded(body: bytes) -> None:
    """What was not signed with this user's key is compiled anew and replaced, which is said."""
    store = MemoryStore()
    store.put(compiled_key(TERMS.key, "bin"), body)
    scene = Scene(store, must=True)
    told = scene.work(4)
    assert scene.slow.given == [b""]
    (remark,) = [event for event in told if isinstance(event, Remark)]
    assert "compiled anew" in remark.message
    assert Scene(store, must=True).work(4, attempt="a1")
    assert CompileMemory(store, secret=lambda: OURS).code(TERMS.key) == (b"compiled", "")


def test_damaged_code_is_not_loaded() -> None:
    """One bit is enough, wherever it is; so is another model's artifact under this name."""
    store = MemoryStore()
    memory = CompileMemory(store, secret=lambda: OURS)
    memory.save(TERMS.key, b"code of a model")
    whole = store.get(compiled_key(TERMS.key, "bin"))
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        store.put(compiled_key(TERMS.key, "bin"), changed)
        assert CompileMemory(store, secret=lambda: OURS).code(TERMS.key)[0] == b""
    store.put(compiled_key("ab" * 16, "bin"), whole)
    assert CompileMemory(store, secret=lambda: OURS).code("ab" * 16)[0] == b""


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'{"schema": 2}', b'{"schema": 1, "seconds": -1, "eager_step_seconds": "x"}', b"\xff"]
)
def test_strange_figures_are_taken_for_nothing_known(body: bytes) -> None:
    """Only numbers of seconds that can be true are believed."""
    store = MemoryStore()
    store.put(compiled_key(TERMS.key, "json"), body)
    assert CompileMemory(store, secret=lambda: OURS).experience(TERMS.key) == Experience()


def test_without_a_key_no_code_is_kept() -> None:
    """The figures are, as they are harmless."""
    store = MemoryStore()
    Scene(store, secret=bytes, must=True).work(4)
    assert [info.key for info in store.list("memory/")] == [compiled_key(TERMS.key, "json")]


def test_model_that_cannot_be_compiled_is_said_once_and_rendered() -> None:
    """Every image comes all the same."""
    scene = Scene(MemoryStore(), must=True)
    scene.slow.problem = "no compiler"
    (remark,) = [event for event in scene.work(8) if isinstance(event, Remark)]
    assert "rendered without compilation: no compiler" in remark.message


def test_notice_while_it_compiles_hands_all_back_at_once() -> None:
    """Nobody waits for the graph: the attempt's one end is told before it is there, and no batch is begun."""
    scene = Scene(MemoryStore(), must=True)
    told: list[WorkerEvent] = []

    def reclaim() -> None:
        scene.worker.notice(scene.clock.now_ns() + 30 * 10**9)
        told.extend(scene.worker.poll(0))

    scene.slow.meanwhile = reclaim
    after = scene.work(4)
    assert [event.cause for event in told if isinstance(event, AttemptEnded)] == ["HANDED_BACK"]
    assert not [event for event in after if isinstance(event, AttemptEnded)]
    assert not [event for event in told + after if isinstance(event, DeviceTaken) and event.attempt]


def test_key_is_made_once_for_a_user_and_nobody_else_can_read_it(tmp_path: Any) -> None:
    """The environment goes before the file; a file that others may read is not used; nor is a short key."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    made = cache_key(environ)
    assert len(made) == 64
    assert cache_key(environ) == made
    path = tmp_path / "spotrender" / "cache.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert cache_key(environ | {CACHE_SECRET: "s" * 40}) == b"s" * 40
    assert cache_key(environ | {CACHE_SECRET: "short"}) == b""
    path.chmod(0o644)
    assert cache_key(environ) == b""
