"""One worker with everything around it real and in memory, for tests of what it does with one assignment."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from infra.stores.memory import MemoryStore
from pipeline.assignment import Assignment, Output
from pipeline.clock import ManualClock
from pipeline.events import AttemptEnded, BatchCommitted, WorkerEvent
from pipeline.model import Model
from pipeline.ports import Clock, Picture, Renderer, Store
from pipeline.record import Node, Profile, Record, RecordedImage, record_from_json
from pipeline.renderers.synthetic import SyntheticKind
from pipeline.request import Request, Variant
from pipeline.working.stages import InlineStages
from pipeline.working.worker import Worker

JOB = "small-0123456789abcdef"


class TickingClock(ManualClock):
    """A clock that moves on a little, by an odd number of nanoseconds, whenever somebody looks at it."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        self.advance(0.123456789)
        return super().now_ns()


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What came of one assignment."""

    events: tuple[WorkerEvent, ...]
    store: MemoryStore

    @property
    def records(self) -> list[Record]:
        """As the events tell them."""
        return [event.record for event in self.events if isinstance(event, BatchCommitted)]

    @property
    def stored(self) -> list[Record]:
        """As the store holds them, by name."""
        return [record_from_json(self.store.get(info.key)) for info in self.store.list(f"jobs/{JOB}/records/")]

    @property
    def images(self) -> list[RecordedImage]:
        """Of all records."""
        return [image for record in self.records for image in record.images]

    @property
    def ended(self) -> AttemptEnded:
        """The attempt's only end."""
        (end,) = [event for event in self.events if isinstance(event, AttemptEnded)]
        return end


class Wrapped:
    """The stand-in, changed in one place.

    Args:
        inner: does the work.
        before: called with every batch before it is denoised.
        after: called before every decoding.
    """

    def __init__(
        self,
        inner: Renderer,
        before: Callable[[Sequence[Request], int], None] = lambda _batch, _size: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._inner, self._before, self._after = inner, before, after

    def profile(self, variant: Variant, *, batch_size: int) -> Profile:
        """Of the inner one."""
        return self._inner.profile(variant, batch_size=batch_size)

    def batch_size(self, variant: Variant) -> int:
        """Of the inner one."""
        return self._inner.batch_size(variant)

    def denoise(self, batch: Sequence[Request], *, batch_size: int) -> Any:
        """Of the inner one, after `before`."""
        self._before(batch, batch_size)
        return self._inner.denoise(batch, batch_size=batch_size)

    def decode(self, latents: Any) -> Sequence[Picture]:
        """Of the inner one, after `after`."""
        self._after()
        return self._inner.decode(latents)

    def peak_memory_bytes(self) -> int:
        """Of the inner one."""
        return self._inner.peak_memory_bytes()

    def close(self) -> None:
        """Of the inner one."""
        self._inner.close()


def synthetic_model(**changes: str) -> Model:
    """The stand-in, with options."""
    return SyntheticKind().resolve("synthetic", **changes)


def load_synthetic(model: Model) -> Renderer:
    """The stand-in, loaded."""
    return SyntheticKind().load(model, device="cpu", threads=1)


def variant_of(model: Model, *, width: int = 16, height: int = 8) -> Variant:
    """All of a request but its words and its seed."""
    return Variant(
        model=model.revision,
        renderer=model.renderer,
        pixel_version=model.pixel_version,
        precision=model.precision,
        width=width,
        height=height,
        steps=1,
        guidance_scale=0.0,
        scheduler="",
    )


def assignment(
    prompts: Iterable[str],
    *,
    model: Model | None = None,
    output: Output | None = None,
    batch_size: int | None = 4,
    variant: Variant | None = None,
    attempt: str = "a1",
) -> Assignment:
    """One attempt at a task of these prompts."""
    model = model or synthetic_model()
    shared = variant or variant_of(model)
    requests = tuple(
        Request(prompt=prompt, negative_prompt="", seed=seed, variant=shared) for seed, prompt in enumerate(prompts)
    )
    return Assignment(
        job=JOB,
        task="t0000000",
        attempt=attempt,
        model=model,
        requests=requests,
        image_ids=tuple(request.image_id for request in requests),
        tags=tuple({"place": str(place)} for place in range(len(requests))),
        output=output or Output(),
        batch_size=batch_size,
    )


def node(**changes: int | Decimal | str) -> Node:
    """A node of two GPUs at an odd price."""
    plain = Node(
        node_session="session",
        node_id="n",
        provider="local",
        node_type="local",
        market="local",
        gpu="cpu",
        gpu_count=2,
        usd_per_hour=Decimal("1.000000007"),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def worker(
    store: Store,
    *,
    clock: Clock | None = None,
    load: Callable[[Model], Renderer] = load_synthetic,
    model: Model | None = None,
    on: Node | None = None,
) -> Worker:
    """A worker that does everything in the caller's thread, its model loaded."""
    one = Worker(
        name="w",
        node=on or node(),
        gpu_index=1,
        load=load,
        model=model or synthetic_model(),
        store=store,
        clock=clock or TickingClock(),
        stages=InlineStages(),
    )
    assert one.start()
    one.poll(0)
    return one


def work(
    given: Assignment,
    *,
    store: MemoryStore | None = None,
    load: Callable[[Model], Renderer] = load_synthetic,
    on: Node | None = None,
) -> Worked:
    """Let a fresh worker do one assignment."""
    store = store or MemoryStore()
    one = worker(store, load=load, on=on)
    one.work(given)
    return Worked(events=tuple(one.poll(0)), store=store)
