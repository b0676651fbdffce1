"""A world without threads: every step of driver and workers happens in order, and any of them may be the last."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.stores.memory import MemoryStore
from pipeline.assignment import Assignment, Output
from pipeline.clock import ManualClock
from pipeline.errors import StoreUnavailableError
from pipeline.events import NoticeCancelled, NoticeKind, NoticeSeen, WorkerEvent, WorkerLost
from pipeline.job import Job, NodeOffer, Settings, TaskSizes
from pipeline.model import Model
from pipeline.ports import ObjectInfo, PutMode, Renderer
from pipeline.record import Node
from pipeline.renderers.synthetic import SyntheticKind
from pipeline.request import Request, Variant
from pipeline.request_table import RequestTable
from pipeline.run_job import World
from pipeline.stages import InlineStages
from pipeline.worker import Worker


class DiedError(BaseException):
    """The process ended here; nothing catches it, so nothing is tidied up."""


class InlineExecutor(Executor):
    """Runs everything at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run now; what ends the process ends it here."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


class MortalStore:
    """A store whose n-th writing call ends the process that makes it, before or after it took effect.

    Args:
        store: the real one.
        fatal: numbers of the calls, counted from 0, and whether the write takes effect first.
        clock: moves on with every call, so that no two objects have the same time.
        unanswered: numbers of the calls that take effect and whose response is lost.
        naps: numbers of the calls at which the process sleeps, and whether they take effect before it does.
        meanwhile: what happens while it sleeps.
    """

    def __init__(
        self,
        store: MemoryStore,
        fatal: Mapping[int, bool],
        clock: ManualClock,
        *,
        unanswered: frozenset[int] = frozenset(),
        naps: Mapping[int, bool] | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._unanswered = unanswered
        self._naps, self._meanwhile = naps or {}, meanwhile
        self._store = store
        self._fatal = fatal
        self._clock = clock
        self.calls = 0

    @property
    def uri(self) -> str:
        """Of the real one."""
        return self._store.uri

    def _write(self, write: Callable[[], Any]) -> Any:
        self._clock.advance(0.01)
        number, self.calls = self.calls, self.calls + 1
        effect = self._fatal.get(number)
        if number in self._unanswered:
            write()
            raise StoreUnavailableError("the response was lost")
        if effect is None:
            return self._slept(number, write)
        if effect:
            write()
        raise DiedError(number)

    def _slept(self, number: int, write: Callable[[], Any]) -> Any:
        """Write, and sleep before or after that if this is a call to do so."""
        nap = self._naps.get(number)
        if nap is False:
            self._meanwhile()
        result = write()
        if nap is True:
            self._meanwhile()
        return result

    def put(self, key: str, body: bytes, *, mode: PutMode = "overwrite", if_match: str | None = None) -> str:
        """Write, or die."""
        return str(self._write(lambda: self._store.put(key, body, mode=mode, if_match=if_match)))

    def put_batch(self, objects: Mapping[str, bytes]) -> None:
        """Write one after the other; each may be the last."""
        for key, body in objects.items():
            self._write(lambda key=key, body=body: self._store.put(key, body))  # type: ignore[misc]

    def delete(self, key: str) -> None:
        """Delete, or die."""
        self._write(lambda: self._store.delete(key))

    def upload(self, key: str, path: str) -> None:
        """Write, or die."""
        self._write(lambda: self._store.upload(key, path))

    def get(self, key: str) -> bytes:
        """Of the real one."""
        return self._store.get(key)

    def download(self, key: str, path: str) -> None:
        """Of the real one."""
        self._store.download(key, path)

    def head(self, key: str) -> ObjectInfo | None:
        """Of the real one."""
        return self._store.head(key)

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Of the real one."""
        return self._store.list(prefix, start_after=start_after)

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Of the real one."""
        return self._store.list_folders(prefix)


class StepwiseCompute:
    """Workers that work only while the driver asks for events: one attempt for one worker at each asking.

    Args:
        workers: how many at a time; a dead one is replaced.
        store: theirs; a `DiedError` from it is the death of the worker that made the call.
        clock: moves on with every event.
        model: what they load.
        turns: which worker's turn it is, as whole numbers for ever.
        session: the node session; the same as an earlier driver's where the node outlived it.
    """

    def __init__(
        self,
        *,
        workers: int,
        store: MortalStore,
        clock: ManualClock,
        model: Model,
        turns: Iterator[int],
        session: str,
    ) -> None:
        self._count = self._on_first_node = workers
        self._store, self._clock, self._model, self._turns = store, clock, model, turns
        self._numbers = itertools.count()
        self._workers: dict[str, tuple[Worker, list[Assignment]]] = {}
        self._lost: list[WorkerEvent] = []
        self.session = session
        self.deaths = 0
        self.go_on = False

    def start(self) -> None:
        """Start them all."""
        for gpu in range(self._count):
            self._start(gpu)

    def _start(self, gpu: int) -> None:
        node = self.node(gpu)
        name = f"{self.session}-w{id(self)}-{next(self._numbers)}-{gpu}"
        worker = Worker(
            name=name,
            node=node,
            gpu_index=min(gpu, node.gpu_count - 1),
            load=self.load,
            go_on=self.go_on,
            model=self._model,
            store=self._store,
            clock=self._clock,
            stages=InlineStages(),
        )
        worker.start()
        self._workers[name] = (worker, [])

    def node(self, gpu: int) -> Node:
        """Where a worker stands: all of the first ones on one node."""
        first = gpu < self._on_first_node
        return Node(
            node_session=self.session if first else f"{self.session}-{gpu}",
            node_id="n" if first else f"n{gpu}",
            provider="local",
            node_type="local",
            market="local",
            gpu="cpu",
            gpu_count=self._on_first_node if first else 1,
            usd_per_hour=Decimal("0.7"),
        )

    def events(self, *, timeout_seconds: float) -> Sequence[WorkerEvent]:
        """Let one worker work through one attempt, then tell what happened to any of them."""
        self._clock.advance(timeout_seconds)
        busy = sorted(name for name, (_, inbox) in self._workers.items() if inbox)
        lost, self._lost = self._lost, []
        events: list[WorkerEvent] = list(lost)
        if busy:
            name = busy[next(self._turns) % len(busy)]
            worker, inbox = self._workers[name]
            try:
                worker.work(inbox.pop(0))
            except DiedError:
                self.deaths += 1
                events.extend(worker.poll(0)[: next(self._turns) % 3])  # some of its last events never arrive
                if self._workers.pop(name, None) is None:
                    return events  # its end was told already
                gone = WorkerLost(worker=name, at_ns=self._clock.now_ns(), cause="INFRASTRUCTURE", message="died")
                self._lost.append(gone)
                self._start(int(name.rpartition("-")[2]))
        for worker, _ in self._workers.values():
            events.extend(worker.poll(0))
        return events

    def assign(self, worker: str, assignment: Assignment) -> None:
        """Into the inbox; a worker that died meanwhile takes nothing."""
        if worker in self._workers:
            self._workers[worker][1].append(assignment)

    def release(self, worker: str) -> None:
        """Hand back."""
        if worker in self._workers:
            self._workers[worker][0].release()

    def offer(self, offers: tuple[NodeOffer, ...]) -> None:
        """As many workers as the offers come to: more at once, fewer when they have nothing to do; none: as before."""
        self._count = sum(offer.max * offer.gpus for offer in offers) or self._count
        held = {int(name.rpartition("-")[2]) for name in self._workers}
        for gpu in sorted(set(range(self._count)) - held):
            self._start(gpu)
        for name, (_, inbox) in list(self._workers.items()):
            if int(name.rpartition("-")[2]) >= self._count and not inbox:
                self._let_go(name)

    def leave(self, worker: str) -> None:
        """End it, and start another."""
        if worker in self._workers:
            self._let_go(worker)
            self._start(int(worker.rpartition("-")[2]))

    def _let_go(self, name: str) -> None:
        """End a worker; what it told is lost, its loss is told next."""
        del self._workers[name]
        gone = WorkerLost(worker=name, at_ns=self._clock.now_ns(), cause="HANDED_BACK", message="let go")
        self._lost.append(gone)

    def load(self, model: Model) -> Renderer:
        """The stand-in, whose device takes time on the clock."""
        return SyntheticKind(sleep=self._clock.advance).load(model, device="cpu", threads=1)

    def notice(self, worker: str, *, seconds: float, kind: NoticeKind = "reclaim") -> None:
        """Its node is to go in so many seconds."""
        now_ns = self._clock.now_ns()
        deadline_ns = now_ns + round(seconds * 1e9)
        if kind == "reclaim":
            self._workers[worker][0].notice(deadline_ns)
        self._lost.append(NoticeSeen(worker=worker, at_ns=now_ns, kind=kind, deadline_ns=deadline_ns, source="static"))

    def cancel_notice(self, worker: str) -> None:
        """Its node stays."""
        self._workers[worker][0].notice(None)
        self._lost.append(NoticeCancelled(worker=worker, at_ns=self._clock.now_ns()))

    def kill(self, worker: str) -> None:
        """End it, and start another."""
        if worker in self._workers:
            self.lose(worker, "killed")
            self._start(int(worker.rpartition("-")[2]))

    def lose(self, worker: str, message: str, *, node_lost: bool = False) -> None:
        """It dies; nobody takes its place yet."""
        del self._workers[worker]
        self._lost.append(
            WorkerLost(
                worker=worker,
                at_ns=self._clock.now_ns(),
                cause="INFRASTRUCTURE",
                message=message,
                node_lost=node_lost,
            )
        )

    def close(self) -> None:
        """End all."""
        self._workers.clear()


def small_job(
    folder: Path,
    *,
    prompts: int,
    images: int,
    batch: int,
    prompt: Callable[[int], str] = "prompt {}".format,
    options: Mapping[str, str] | None = None,
    models: int = 1,
) -> tuple[Job, Settings, RequestTable, Model]:
    """A job of synthetic pictures and its requests file; its batches take time, and so cost money.

    Of several models the rows take turns.
    """
    model = SyntheticKind().resolve("synthetic", **({"seconds_per_batch": "1.3"} | dict(options or {})))
    variant = Variant(
        model=model.revision,
        renderer=model.renderer,
        pixel_version=model.pixel_version,
        precision=model.precision,
        width=16,
        height=8,
        steps=1,
        guidance_scale=0.0,
        scheduler="",
    )
    made = [replace(model, name=f"{model.name}{n or ''}", revision=f"{model.revision}{'+' * n}") for n in range(models)]
    variants = [replace(variant, model=one.revision) for one in made]
    rows = [
        {
            "row": row,
            "line": row + 1,
            "index": index,
            "custom_id": f"c{row}",
            "prompt": prompt(row),
            "negative_prompt": "",
            "seed": index,
            "image_id": Request(
                prompt=prompt(row), negative_prompt="", seed=index, variant=variants[row % models]
            ).image_id,
            "variant": row % models,
            "tags": [("row", str(row))],
        }
        for row in range(prompts)
        for index in range(images)
    ]
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("line", pa.int64()),
            ("index", pa.int32()),
            ("custom_id", pa.string()),
            ("prompt", pa.string()),
            ("negative_prompt", pa.string()),
            ("seed", pa.int64()),
            ("image_id", pa.string()),
            ("variant", pa.int32()),
            ("tags", pa.map_(pa.string(), pa.string())),
        ]
    )
    path = folder / "00000.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=7)
    job = Job(
        name="small",
        digest="d" * 64,
        models=tuple(made),
        variants=tuple(variants),
        variant_models=tuple(one.name for one in made),
        output=Output(),
        sizes=TaskSizes(batch=batch, largest=batch * 3, tail_share=4, tasks_per_bucket=2),
        images=len(rows),
        request_files=1,
        submitted_at=datetime(2026, 11, 21, tzinfo=UTC),
        manifest="small.jsonl",
    )
    return job, Settings(nodes=()), RequestTable([path], variants), model


def world(store: MortalStore, compute: StepwiseCompute, clock: ManualClock, attempts: Iterator[int]) -> World:
    """One driver's world."""
    return World(
        store=store,
        compute=compute,
        clock=clock,
        executor=InlineExecutor(),
        background=InlineExecutor(),
        new_attempt=lambda: f"a{next(attempts)}",
    )
