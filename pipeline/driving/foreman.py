"""Hears what workers report and sees to them: who gets work, who is replaced or left, and what is taken back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.causes import cause_of_loss
from pipeline.driving.crew import Crew
from pipeline.driving.event_log import log_event
from pipeline.driving.leftovers import Leftovers
from pipeline.driving.measuring import Measuring
from pipeline.driving.model_watch import ModelWatch
from pipeline.driving.remarks import Remarks
from pipeline.driving.standing import Standing
from pipeline.driving.workload import WorkEvent, Workload
from pipeline.events import (
    AttemptEnded,
    BatchCommitted,
    BatchTuned,
    Bottleneck,
    DeviceTaken,
    DeviceWaits,
    DidNotFit,
    Heartbeat,
    ModelRefused,
    NoticeCancelled,
    NoticeSeen,
    Preparing,
    Remark,
    StoreSilent,
    WorkerEvent,
    WorkerLost,
    WorkerReady,
    WorkerRefused,
    WorkerStarting,
)
from pipeline.job import Settings
from pipeline.ledger.accounts import Accounts
from pipeline.ports import Compute
from pipeline.record import Cause

_HELD_UP: Final[Mapping[Bottleneck, str]] = MappingProxyType(
    {
        "store": "waiting for the store: it takes pictures more slowly than {who} can make them",
        "encoder": "waiting for the processor: it encodes pictures more slowly than {who} can make them",
        "decoder": "waiting for the decoder: it is slower than {who} can denoise",
    }
)


class Foreman:
    """The driver's dealings with its workers.

    Args:
        standing: the job.
        settings: of the job, as they are now.
        accounts: the node sessions.
        compute: the workers.
        store_failed: told when the store does not answer, the driver or a worker.
        measuring: told all events.
    """

    def __init__(
        self,
        *,
        standing: Standing,
        settings: Callable[[], Settings],
        accounts: Accounts,
        compute: Compute,
        store_failed: Callable[[str], None],
        measuring: Measuring,
    ) -> None:
        self._standing, self._settings, self._accounts, self._compute = standing, settings, accounts, compute
        self._measuring = measuring
        self._policy = standing.policy
        self.crew = Crew()
        self.work = Workload(standing=standing, settings=settings, crew=self.crew, store_failed=store_failed)
        self._models = ModelWatch(limit=self._policy.model_refusals)
        self.lost = 0
        """Workers lost that the driver did not end itself."""
        self.recovering = False
        """Whether a worker was lost, and none has become ready since."""
        self.phase = "waiting for workers"
        self.trouble = ""
        """What is wrong with a worker, until another one works."""
        self.stuck = ""
        """Why the job cannot go on; empty while it can."""
        self.stopping = False
        """Nothing more is handed out, and losses are no news."""
        self._leftovers = Leftovers(
            standing=standing,
            crew=self.crew,
            work=self.work,
            models=self._models,
            condemn=self._condemn,
        )
        self._refused_in_a_row = 0
        self._store_refused: set[str] = set()
        self._listened_ns = standing.clock.now_ns()
        self.remarks = Remarks()

    def hear(self, event: WorkerEvent) -> None:
        """Take one event in."""
        if isinstance(event, WorkerLost):
            event = replace(event, cause=self._cause_of_loss(event))
        self._log(event)
        self._accounts.hear(event)
        self._measuring.hear(event, self.crew.node(event.worker))
        self.crew.heard(event.worker)
        match event:
            case DeviceTaken() | DidNotFit() | BatchTuned() | BatchCommitted() | AttemptEnded():
                self._work_told(event)
            case WorkerLost() | WorkerRefused():
                self._gone(event)
            case WorkerStarting():
                self._starting(event)
            case WorkerReady():
                self._ready(event)
            case ModelRefused():
                self._model_refused(event)
            case NoticeSeen():
                self._notice(event)
            case NoticeCancelled() | StoreSilent() | DeviceWaits() | Preparing():
                self.crew.told(event)
            case Remark() | Heartbeat():
                pass

    def _log(self, event: WorkerEvent) -> None:
        """Log an event; remarks to which all workers of a kind come only once."""
        if not isinstance(event, Remark) or self.remarks.is_new(event):
            log_event(event, self.crew.node(event.worker))

    def make_rounds(self) -> None:
        """See to everybody: who is silent, who is to be replaced or left, what came back."""
        now_ns = self._standing.clock.now_ns()
        self.crew.listened((now_ns - self._listened_ns) / 1e9)
        self._listened_ns = now_ns
        for worker in self.crew.silent(self._may_be_silent):
            self._end(worker, f"it said nothing for {self._may_be_silent(worker):.0f} s and was killed", fault=True)
        self.work.returns.take()
        for worker, member in self.crew.condemned():
            overdue = now_ns - member.condemned_ns > self._policy.drain_seconds * 1e9
            if overdue or not self.work.handout.has_work(worker):
                self._end(worker, member.condemned, fault=False)
        for worker in self.crew.ready:
            member = self.crew[worker]
            if member.leaving and not member.left and not self.work.handout.has_work(worker):
                member.left = True
                self._compute.leave(worker)
        if not self.stopping:
            self.stuck = self.stuck or self.work.returns.hopeless or self._leftovers.look(now_ns)

    def dispatch(self) -> None:
        """Give every worker what it should have, once the store knows of its node's session."""
        if not self.stopping and not self._accounts.begun:
            for worker, assignment in self.work.handout.next(now_ns=self._standing.clock.now_ns()):
                self._compute.assign(worker, assignment)

    @property
    def held_up(self) -> list[str]:
        """What devices wait for while they have work, in words."""
        said = []
        for stage, why in _HELD_UP.items():
            waiting = [name for name in self.crew.waiting_for(stage) if self.work.handout.has_work(name)]
            if waiting:
                who = "the workers" if len(waiting) == len(self.crew.ready) else f"{len(waiting)} of the workers"
                said.append(why.format(who=who))
        return said

    def save(self) -> None:
        """Let other drivers know what was learned. Raises: StoreUnavailableError."""
        self.work.save()

    def stop(self) -> None:
        """Let everybody finish the batches in flight, and hand out nothing more."""
        self.stopping = True
        for worker in self.crew.ready:
            self._compute.release(worker)

    def _ready(self, event: WorkerReady) -> None:
        """A worker has loaded its model."""
        self.crew.make_ready(event.worker)
        self.work.handout.join(event.worker)
        first = self._standing.job.models[0].name
        if first not in self.crew[event.worker].refused_models:
            self._models.loaded(first)
        self._refused_in_a_row = 0
        self.recovering, self.trouble = False, ""
        self.phase = "rendering"

    def _starting(self, event: WorkerStarting) -> None:
        """A worker's process is up."""
        self.crew.join(event)
        if not self.crew.ready:
            self.phase = f"loading model {self._standing.job.models[0].name} on {event.node.node_type}"

    def _work_told(self, event: WorkEvent) -> None:
        """A worker reports of its work."""
        self.work.hear(event)
        if isinstance(event, DeviceTaken):
            self.crew.device_taken(event.worker)
        elif isinstance(event, BatchCommitted):
            self._models.loaded(event.record.model)
            self._store_refused.clear()
            self.crew.committed(event.worker)
        elif isinstance(event, AttemptEnded) and event.poisoned:
            self._condemn(event.worker, f"the device failed: {event.message}")
        elif isinstance(event, AttemptEnded) and event.store_refused:
            self._refused_by_store(event)

    def _refused_by_store(self, event: AttemptEnded) -> None:
        """A worker may not write; another may, with the right clock or role. Where none may, the job stops."""
        self._store_refused.add(event.worker)
        self._condemn(event.worker, f"the store refuses it: {event.message}")
        if len(self._store_refused) >= self._policy.refusals:
            self.stuck = f"the store refuses what workers put: {event.message}"

    def _gone(self, event: WorkerLost | WorkerRefused) -> None:
        """A worker is gone: what it had comes back."""
        if self.crew.ended(event.worker):
            self.crew.gone(event.worker)
            return
        member = self.crew.gone(event.worker)
        was_ready = member is not None and member.ready
        cause = Cause(event.cause) if isinstance(event, WorkerLost) else Cause.INFRASTRUCTURE
        self.work.take_back(event.worker, member, cause, event.message)
        if self.stopping or cause is Cause.HANDED_BACK:
            return
        if isinstance(event, WorkerLost):
            self.lost += 1
            self.recovering = True
        self.trouble = f"a worker {'was lost' if isinstance(event, WorkerLost) else 'cannot be used'}: {event.message}"
        if not self.crew.ready:
            self.phase = "waiting for workers"
        reclaimed = isinstance(event, WorkerLost) and (event.node_lost or cause is Cause.PREEMPTED)
        if not was_ready and not reclaimed:
            self._refused_in_a_row += 1
        if isinstance(event, WorkerRefused) and event.cause == Cause.MODEL_UNAVAILABLE:
            hope = bool(self.crew.starting + len(self.crew.ready))
            self._models.refused(self._standing.job.models[0].name, event.message, hope=hope)
        if not self.crew.ready and self._refused_in_a_row >= self._policy.refusals:
            self.stuck = f"no worker can render this job: {event.message}"

    def _end(self, worker: str, why: str, *, fault: bool) -> None:
        """End a worker's process; whatever it still commits is harmless.

        Args:
            worker: its name.
            why: in words.
            fault: whether it counts as lost; else the driver only wants a fresh one in its place.
        """
        now_ns = self._standing.clock.now_ns()
        self._compute.kill(worker)
        cause = Cause.INFRASTRUCTURE if fault or self.work.handout.has_work(worker) else Cause.HANDED_BACK
        lost = WorkerLost(worker=worker, at_ns=now_ns, cause=cause.value, message=why)
        lost = replace(lost, cause=self._cause_of_loss(lost))
        log_event(lost, self.crew.node(worker))
        self._accounts.hear(lost)
        self._measuring.hear(lost, self.crew.node(worker))
        self.work.take_back(worker, self.crew.end(worker), Cause(lost.cause), why)
        if fault and not self.stopping:
            self.lost += 1
            self.recovering, self.trouble = True, f"a worker was lost: {why}"
        if not self.crew.ready and not self.stopping:
            self.phase = "waiting for workers"

    def _cause_of_loss(self, event: WorkerLost) -> str:
        """What a worker was lost for, with what the driver knows of its node."""
        notice = self.crew[event.worker].notice if event.worker in self.crew else None
        if event.cause == Cause.HANDED_BACK:
            return event.cause
        return cause_of_loss(event.cause, notice=notice, node_lost=event.node_lost).value

    def _may_be_silent(self, worker: str) -> float:
        """For how many seconds a worker may say nothing."""
        loading = self.crew[worker].preparing or self.work.handout.loading(worker)
        return self._policy.loading_silence_seconds if loading else self._policy.silence_seconds

    def _notice(self, event: NoticeSeen) -> None:
        """A worker's node will be gone, or may be left."""
        member = self.crew.notice(event)
        if event.kind == "reclaim":
            self.work.tuned.leave(event.worker)
        if member is not None and event.kind == "rebalance" and self._settings().on_rebalance == "leave":
            member.leaving = True

    def _model_refused(self, event: ModelRefused) -> None:
        """A worker cannot load a model: either nobody can, or it is replaced."""
        worker, model, message = event.worker, event.model, event.message
        if worker not in self.crew:
            return
        self.crew[worker].refused_models.add(model)
        others = [name for name in self.crew.usable if model not in self.crew[name].refused_models]
        if self._models.refused(model, message, hope=bool(others or self.crew.starting > 1)):
            self._condemn(worker, f"it cannot load {model}: {message}")

    def _condemn(self, worker: str, why: str) -> None:
        """Have a worker's process replaced as soon as it has nothing more."""
        self.crew.condemn(worker, why, self._standing.clock.now_ns())
