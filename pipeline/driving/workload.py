"""The work of one driver: handed out, committed, and taken back when an attempt ends or its worker is gone."""

from collections.abc import Callable

from pipeline.driving.crew import Crew, Member
from pipeline.driving.handout import Given, Handout
from pipeline.driving.intake import Intake
from pipeline.driving.losses import lost_attempts
from pipeline.driving.retries import Retries, Returned
from pipeline.driving.returns import Returns
from pipeline.driving.standing import Standing
from pipeline.events import AttemptEnded, BatchCommitted, BatchTuned, DeviceTaken, DidNotFit
from pipeline.job import Settings
from pipeline.memory.learned_sizes import LearnedSizes
from pipeline.memory.tuned_sizes import TunedSizes
from pipeline.record import Cause
from pipeline.working.workplace import Shape, shape_of

WorkEvent = DeviceTaken | DidNotFit | BatchTuned | BatchCommitted | AttemptEnded


class Workload:
    """All parts of a driver that work passes through.

    Args:
        standing: the job.
        settings: of the job, as they are now.
        crew: who is there.
        store_failed: told when the store does not answer, the driver or a worker.
    """

    def __init__(
        self,
        *,
        standing: Standing,
        settings: Callable[[], Settings],
        crew: Crew,
        store_failed: Callable[[str], None],
    ) -> None:
        self._standing, self._settings, self._crew, self._store_failed = standing, settings, crew, store_failed
        self.sizes = LearnedSizes(standing.store)
        self.tuned = TunedSizes(standing.store, standing.job.sizes)
        self.handout = Handout(
            standing=standing,
            crew=crew,
            sizes=self.sizes,
            tuned=self.tuned,
            outage_seconds=lambda: settings().outage_seconds,
        )
        self.retries = Retries(policy=standing.policy.retry, jitter=standing.jitter, node_types=self._node_types)
        self.intake = Intake(standing, self.retries)
        self.returns = Returns(
            standing=standing,
            queue=self.handout.queue,
            retries=self.retries,
            intake=self.intake,
            store_failed=store_failed,
        )

    @property
    def busy(self) -> bool:
        """Whether any worker has anything, or anything came back that is not dealt with."""
        return self.handout.busy or self.returns.waiting

    def hear(self, event: WorkEvent) -> None:
        """What a worker reports of its work."""
        match event:
            case DeviceTaken():
                self.handout.device_taken(event)
            case DidNotFit():
                node = self._crew[event.worker].node if event.worker in self._crew else None
                if node is not None:
                    shape = (event.model, event.precision, event.width, event.height)
                    self.sizes.learn(shape, node, event.size)
            case BatchTuned():
                self._batch_tuned(event)
            case BatchCommitted():
                given = self.handout.find(event.worker, event.record.attempt)
                self.intake.enter(event.record, given=given, worker=event.worker)
            case AttemptEnded():
                self._ended(event)

    def take_back(self, worker: str, member: Member | None, cause: Cause, message: str) -> None:
        """All that a worker had when it went comes back."""
        attempts = self.handout.leave(worker)
        node = member.node if member else None
        if cause is Cause.OUT_OF_MEMORY and node is not None:
            for given in attempts:
                if given.size > 1:
                    self.sizes.learn(self._shape(given), node, given.size, host=True)
        for back in lost_attempts(
            attempts,
            worker=worker,
            node_type=node.node_type if node else "",
            cause=cause,
            message=message,
            usual_batch=self._standing.job.sizes.batch,
        ):
            self.returns.add(back)

    def save(self) -> None:
        """Write what was learned of batch sizes. Raises: StoreUnavailableError."""
        self.sizes.save()
        self.tuned.save()

    def _batch_tuned(self, event: BatchTuned) -> None:
        """A worker has found the best batch size of its node."""
        given = self.handout.find(event.worker, event.attempt)
        node = self._crew[event.worker].node if event.worker in self._crew else None
        if given is not None and node is not None:
            job, variant = self._standing.job, self._standing.plan[given.piece.task].variant
            self.tuned.told(event, job.model_of(variant), job.variants[variant], node)

    def _ended(self, event: AttemptEnded) -> None:
        """An attempt is over: what it left comes back."""
        given = self.handout.end(event.worker, event.attempt)
        if given is None:
            return
        cause = Cause(event.cause)
        if cause is Cause.STORE_UNAVAILABLE and not event.store_refused:
            self._store_failed(event.message)
        node = self._crew[event.worker].node if event.worker in self._crew else None
        self.returns.add(
            Returned(
                piece=given.piece,
                attempt=given.attempt,
                worker=event.worker,
                node_type=node.node_type if node else "",
                cause=cause,
                message=event.message,
                progressed=given.progressed,
                blamed=frozenset(given.at(event.blamed)),
                alone=tuple(
                    (given.order[suspect.place], Cause(suspect.cause), suspect.message) for suspect in event.suspects
                ),
            )
        )

    def _shape(self, given: Given) -> Shape:
        """Of the requests of an attempt."""
        return shape_of(self._standing.job.variants[self._standing.plan[given.piece.task].variant])

    def _node_types(self) -> frozenset[str]:
        """All that the job may use, and those of the workers that are there."""
        return self._crew.node_types() | {offer.type for offer in self._settings().nodes}
