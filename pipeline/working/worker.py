"""A worker holds one loaded pipeline on one GPU and works through its inbox, one attempt after the other.

It is pure over its ports: the same code runs inside a Ray actor, in a thread of a test, or stepwise with no threads.
"""

import logging
import queue
import threading
from collections.abc import Callable

from pipeline.assignment import Assignment
from pipeline.causes import cause_of
from pipeline.errors import ModelUnavailableError, SpotrenderError
from pipeline.events import (
    AttemptEnded,
    DeviceTaken,
    Heartbeat,
    ModelRefused,
    Preparing,
    Remark,
    WorkerEvent,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.log_place import said_at
from pipeline.memory.compile_memory import CompileMemory
from pipeline.model import Model
from pipeline.ports import Clock, Gauge, Renderer, Store
from pipeline.pricing.storage_cost import calls_of, facts_of
from pipeline.record import Cause, Node
from pipeline.store_use import use_facts
from pipeline.working.attempt import Attempt
from pipeline.working.compiling import Compiling
from pipeline.working.device import Device, Making, Owner, Taking
from pipeline.working.stages import Stages, ThreadStages
from pipeline.working.workplace import Workplace

_LOG = logging.getLogger(__name__)


class Worker:
    """One worker. `run` is its life and needs a thread; the other methods may be called from any other one.

    Args:
        name: unique among all workers of all drivers.
        node: the node that it stands on.
        gpu_index: which GPU of the node, from 0.
        load: gives a loaded renderer for a model; raises ModelUnavailableError.
        model: the one to load first.
        store: where images and records go.
        clock: instants of the device's time line.
        cache_secret: gives the key that compiled code in the store is signed with; an empty one: none is kept.
        encode_threads: for gate and encoding.
        stages: in place of threads, for tests.
        gauge: tells how busy the device is, where anybody can.
        go_on: whether to stay, for other models, when the first one cannot be loaded.
    """

    def __init__(
        self,
        *,
        name: str,
        node: Node,
        gpu_index: int,
        load: Callable[[Model], Renderer],
        model: Model,
        store: Store,
        clock: Clock,
        cache_secret: Callable[[], bytes] = bytes,
        encode_threads: int = 2,
        stages: Stages | None = None,
        gauge: Gauge | None = None,
        go_on: bool = False,
    ) -> None:
        self._name = name
        self._node = node
        self._gpu_index = gpu_index
        self._load = load
        self._first_model = model
        self._clock = clock
        self._store = store
        self._go_on = go_on
        self._inbox: queue.Queue[Assignment | None] = queue.Queue()
        self._events: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._released = self._closed = False
        self._deadline_ns: int | None = None
        self._poisoned = ""
        self._attempt: Attempt | None = None
        self._renderer: Renderer | None = None
        self._loaded: Model | None = None
        self._stages: Stages = stages or ThreadStages(encode_threads=encode_threads)
        device = Device(clock=clock, tell=self._tell_device)
        self._workplace = Workplace(
            worker=name,
            node=node,
            gpu_index=gpu_index,
            store=store,
            clock=clock,
            device=device,
            stages=self._stages,
            emit=self._events.put,
            leaving=self._leaving,
            closed=lambda: self._closed,
            poison=self._poison,
            gauge=gauge,
            slots=threading.Semaphore(self._stages.batches_in_flight),
        )
        self._compiling = Compiling(
            clock=clock,
            device=device,
            pace=self._workplace.pace,
            stages=self._stages,
            memory=CompileMemory(store, secret=cache_secret),
            remark=self._remark,
        )

    @property
    def store(self) -> Store:
        """Where its images and records go."""
        return self._store

    def assign(self, assignment: Assignment) -> None:
        """Put an attempt into the inbox; takes back an earlier `release`, but no notice."""
        with self._lock:
            self._released = False
            if self._deadline_ns is None:
                self._inbox.put(assignment)
                return
        self._end(assignment, Cause.HANDED_BACK, self._leaving())

    def release(self) -> None:
        """Commit the batches in flight and hand back all else."""
        self._released = True

    def notice(self, deadline_ns: int | None) -> None:
        """The node will be gone at this instant; None: it stays after all.

        No batch is begun any more, what stands in the inbox is handed back at once, and so is the batch on the device
        unless it can be committed in time. What is on its way to the store goes on. The worker keeps its GPU.
        """
        _LOG.debug("the node %s", "stays after all" if deadline_ns is None else "will be gone soon")
        with self._lock:
            self._deadline_ns = deadline_ns
            attempt = self._attempt
            waiting = [] if deadline_ns is None else self._empty_inbox()
        for assignment in waiting:
            self._end(assignment, Cause.HANDED_BACK, self._leaving())
        if attempt is not None and deadline_ns is not None:
            attempt.notice(deadline_ns)

    def close(self) -> None:
        """Like `release`, and then end `run`; nobody waits for a silent store any longer."""
        self._closed = True
        self._inbox.put(None)

    def poll(self, timeout_seconds: float) -> list[WorkerEvent]:
        """What happened since the last call, in order; waits for something at most this long; ends with a heartbeat."""
        events: list[WorkerEvent] = []
        try:
            events.append(self._events.get(timeout=timeout_seconds) if timeout_seconds else self._events.get_nowait())
            while True:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        facts = facts_of(calls_of(self._store)) | use_facts(self._store)
        events.append(Heartbeat(worker=self._name, at_ns=self._clock.now_ns(), facts=facts))
        return events

    def run(self) -> None:
        """Load the model, then work until `close`; returns early when the model cannot be loaded."""
        with said_at(**self._workplace.place):
            if self.start():
                while (assignment := self._inbox.get()) is not None:
                    self.work(assignment)
        self._stages.close()
        if self._renderer is not None:
            self._renderer.close()

    def start(self) -> bool:
        """Say hello and load the first model; whether that went well."""
        self._events.put(
            WorkerStarting(worker=self._name, node=self._node, gpu_index=self._gpu_index, at_ns=self._clock.now_ns())
        )
        try:
            self._use(self._first_model)
        except SpotrenderError as error:
            unavailable = isinstance(error, ModelUnavailableError)
            if not (unavailable and self._go_on):
                cause = Cause.MODEL_UNAVAILABLE.value if unavailable else "CLUSTER_REFUSED"
                now_ns = self._clock.now_ns()
                self._events.put(WorkerRefused(worker=self._name, at_ns=now_ns, cause=cause, message=str(error)))
                return False
            self._refuse(self._first_model, error)
        self._events.put(WorkerReady(worker=self._name, at_ns=self._clock.now_ns()))
        return True

    def work(self, assignment: Assignment) -> None:
        """One attempt, from the first batch to the device's being free again."""
        if why := self._leaving():
            self._end(assignment, Cause.HANDED_BACK, why)
            return
        try:
            renderer = self._change_to(assignment.model)
        except ModelUnavailableError as error:
            self._refuse(assignment.model, error)
            self._end(assignment, Cause.MODEL_UNAVAILABLE, str(error))
            return
        except SpotrenderError as error:
            self._end(assignment, cause_of(error), str(error))
            return
        attempt = Attempt(assignment, renderer, self._workplace, self._compiling)
        with self._lock:
            self._attempt = attempt
        try:
            attempt.run()
        finally:
            with self._lock:
                self._attempt = None

    def _leaving(self) -> str:
        """Why no batch may be begun; empty when one may."""
        if self._poisoned:
            return f"the device failed in this process: {self._poisoned}"
        if self._deadline_ns is not None:
            return "the node is being reclaimed"
        return "the worker was asked to hand its work back" if self._released or self._closed else ""

    def _poison(self, message: str) -> None:
        """Nothing more is rendered here."""
        self._poisoned = message or "it does not say why"

    def _empty_inbox(self) -> list[Assignment]:
        """Take all that waits; a `close` that stands there stays."""
        waiting: list[Assignment] = []
        while not self._inbox.empty():
            assignment = self._inbox.get_nowait()
            if assignment is None:
                self._inbox.put(None)
                break
            waiting.append(assignment)
        return waiting

    def _refuse(self, model: Model, error: SpotrenderError) -> None:
        """Tell that this worker cannot load a model."""
        self._events.put(
            ModelRefused(worker=self._name, at_ns=self._clock.now_ns(), model=model.name, message=str(error))
        )

    def _use(self, model: Model) -> Renderer:
        """The renderer of this model, loaded once; another one, also of the same weights, takes its place."""
        if self._renderer is None or self._loaded != model:
            if self._renderer is not None:
                self._stages.settle()
                self._renderer.close()
            self._renderer = None
            _LOG.debug("loads model %s", model.name)
            self._renderer = self._load(model)
            self._loaded = model
        return self._renderer

    def _change_to(self, model: Model) -> Renderer:
        """The same for a worker that is ready; loading is start-up."""
        if self._renderer is not None and self._loaded == model:
            return self._renderer
        self._stages.settle()
        with self._workplace.device.made_ready(Making(what="load", message=f"model {model.name}")):
            return self._use(model)

    def _end(self, assignment: Assignment, cause: Cause, message: str) -> None:
        """Tell the end of an attempt that did not begin."""
        self._events.put(
            AttemptEnded(
                worker=self._name,
                task=assignment.task,
                attempt=assignment.attempt,
                cause=cause,
                message=message,
                at_ns=self._clock.now_ns(),
            )
        )

    def _remark(self, about: str, message: str) -> None:
        """Tell what a person may want to know."""
        self._events.put(Remark(worker=self._name, at_ns=self._clock.now_ns(), about=about, message=message))

    def _tell_device(self, at_ns: int, owner: Owner) -> None:
        if owner is None:
            self._events.put(DeviceTaken(worker=self._name, at_ns=at_ns, attempt=None))
        elif isinstance(owner, Making):
            self._events.put(Preparing(worker=self._name, at_ns=at_ns, what=owner.what, message=owner.message))
        else:
            self._tell_taking(at_ns, owner)

    def _tell_taking(self, at_ns: int, taking: Taking) -> None:
        attempt, sequence = taking.key
        self._events.put(
            DeviceTaken(
                worker=self._name,
                at_ns=at_ns,
                attempt=attempt,
                sequence=sequence,
                places=taking.places,
                size=taking.size,
            )
        )
