"""Which worker has which piece of work, and what to hand out next."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.assignment import Assignment
from pipeline.driving.crew import Crew
from pipeline.driving.standing import Standing
from pipeline.driving.task_queue import Piece, TaskQueue
from pipeline.events import DeviceTaken
from pipeline.memory.learned_sizes import LearnedSizes
from pipeline.memory.tuned_sizes import TunedSizes
from pipeline.record import Record
from pipeline.working.workplace import Shape, shape_of


@dataclass(slots=True)
class Given:
    """An attempt that a worker has."""

    attempt: str
    piece: Piece
    order: tuple[int, ...]
    """Its places in the plan, in the order of the assignment."""
    places: dict[str, int]
    """Image id -> place in the plan."""
    progressed: bool = False
    """Whether it brought any image."""
    changes_model: bool = False
    """Whether the worker has to load another model for it."""
    reached: bool = False
    """Whether the worker's device has had any of it."""
    size: int = 0
    """Shape of the last batch that the device had; 0 before the first one."""
    taken: set[int] = field(default_factory=set)
    """Places that the device has had."""
    batches: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Sequence -> places, of the batches that the device has or had and that are not committed."""

    def at(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """Places of the assignment as places of the plan."""
        return tuple(self.order[place] for place in places)

    def committed(self, record: Record) -> None:
        """A batch of it is in the store."""
        self.batches.pop(record.sequence, None)


class Handout:
    """The work that waits and the workers with what they have.

    Args:
        standing: the job.
        crew: who there is.
        sizes: what is known of batches that do not fit.
        tuned: what is known of the best batches, and who measures.
        outage_seconds: how long a store may be silent, as it is now.
    """

    def __init__(
        self,
        *,
        standing: Standing,
        crew: Crew,
        sizes: LearnedSizes,
        tuned: TunedSizes,
        outage_seconds: Callable[[], float],
    ) -> None:
        self._standing, self._crew, self._sizes = standing, crew, sizes
        self._tuned = tuned
        self._outage_seconds = outage_seconds
        self.queue = TaskQueue(standing.progress.unfinished_tasks(), standing.model_of)
        self._workers: dict[str, dict[str, Given]] = {}
        self._on_device: set[str] = set()
        self._models: dict[str, str] = {}
        """Worker -> name of the model that it will hold when it has done what it has."""
        self._tasks_of_shape: dict[Shape, NDArray[np.bool_]] = {}

    @property
    def busy(self) -> bool:
        """Whether any worker has anything."""
        return any(self._workers.values())

    def has_work(self, worker: str) -> bool:
        """Whether this worker has anything."""
        return bool(self._workers.get(worker))

    def loading(self, worker: str) -> bool:
        """Whether this worker may be loading another model than it had."""
        return any(given.changes_model and not given.reached for given in self._workers.get(worker, {}).values())

    def join(self, worker: str) -> None:
        """A worker is ready."""
        self._workers.setdefault(worker, {})
        self._models.setdefault(worker, self._standing.job.models[0].name)

    def leave(self, worker: str) -> list[Given]:
        """A worker is gone; gives what it had, the oldest first."""
        self._on_device.discard(worker)
        self._models.pop(worker, None)
        self._tuned.leave(worker)
        return list(self._workers.pop(worker, {}).values())

    def find(self, worker: str, attempt: str) -> Given | None:
        """The attempt, if this worker has it."""
        return self._workers.get(worker, {}).get(attempt)

    def end(self, worker: str, attempt: str) -> Given | None:
        """An attempt is over; gives it if this worker had it."""
        return self._workers.get(worker, {}).pop(attempt, None)

    def device_taken(self, event: DeviceTaken) -> None:
        """A worker's device has begun an attempt, or a further batch of one, or has nothing to do."""
        given = self.find(event.worker, event.attempt or "")
        if given is not None:
            places = given.at(event.places)
            given.reached, given.size = True, event.size
            given.batches[event.sequence] = places
            given.taken.update(places)
        (self._on_device.discard if event.attempt is None else self._on_device.add)(event.worker)

    def next(self, *, now_ns: int) -> Iterator[tuple[str, Assignment]]:
        """Keep every ready worker busy: one piece on its device, and the next one beside it while there are plenty.

        What has left the device and waits only to be committed does not count, so that small tasks follow at once.
        """
        usable = self._crew.usable if len(self.queue) else ()
        for depth in (1, 2):
            for worker in usable:
                attempts = self._workers.setdefault(worker, {})
                held = sum(not given.reached for given in attempts.values()) + (worker in self._on_device)
                if held >= depth or (depth > 1 and len(self.queue) < len(usable)):
                    continue
                assignment = self._next_for(worker, attempts, now_ns)
                if assignment is not None:
                    yield worker, assignment

    def _next_for(self, worker: str, attempts: dict[str, Given], now_ns: int) -> Assignment | None:
        """An attempt at the next piece that misses anything, of the worker's own model while any is left.

        None when there is none for this worker now.
        """

        def may(piece: Piece) -> bool:
            return self._may_have(worker, piece)

        while (piece := self.queue.pop(now_ns, may, preferred=self._models.get(worker, ""))) is not None:
            missing = self._standing.progress.missing_places(piece.task)
            wanted = missing if piece.places is None else sorted(set(piece.places) & set(missing))
            if wanted:
                return self._assignment(worker, piece, wanted, attempts)
        return None

    def _may_have(self, worker: str, piece: Piece) -> bool:
        """Whether nothing speaks against giving this piece to this worker."""
        refused = self._crew[worker].refused_models
        if refused and self._standing.model_of(piece.task) in refused:
            return False
        return self._crew.may_have(worker, piece)

    def _assignment(self, worker: str, piece: Piece, places: list[int], attempts: dict[str, Given]) -> Assignment:
        job, plan = self._standing.job, self._standing.plan
        rows = self._standing.table.rows(plan.positions[places].tolist())
        attempt, task = self._standing.new_attempt(), plan[piece.task]
        ids = tuple(row.image_id for row in rows)
        given = replace(piece, places=tuple(places))
        node, variant, model = self._crew[worker].node, rows[0].request.variant, job.model_of(task.variant)
        places_of = dict(zip(ids, places, strict=True))
        changes = self._models.get(worker) != model.name
        attempts[attempt] = Given(attempt, given, tuple(places), places_of, changes_model=changes)
        self._models[worker] = model.name
        best = most = None
        tune_to = 0
        if node is not None:
            most = self._sizes.most(shape_of(variant), node)
            best = self._tuned.best(model, variant, node)
            left = self._standing.progress.missing
            tune_to = self._tuned.to_measure(worker, model, variant, node, images=len(task.places), left=left)
        return Assignment(
            job=job.id,
            task=task.id,
            attempt=attempt,
            model=model,
            requests=tuple(row.request for row in rows),
            image_ids=ids,
            tags=tuple(row.tags for row in rows),
            output=job.output,
            batch_size=best,
            most_at_once=most,
            tune_to=tune_to,
            images_ahead=self._images_ahead(task.variant),
            outage_seconds=self._outage_seconds(),
        )

    def _images_ahead(self, variant: int) -> int:
        """Missing images of a variant's model and shape for each worker that is there or on its way, rounded up."""
        job, plan = self._standing.job, self._standing.plan
        shape = shape_of(job.variants[variant])
        if shape not in self._tasks_of_shape:
            alike = [number for number, other in enumerate(job.variants) if shape_of(other) == shape]
            self._tasks_of_shape[shape] = np.isin(plan.task_variants, alike)
        missing = self._standing.progress.missing_of_tasks(self._tasks_of_shape[shape])
        return -(-missing // max(1, len(self._crew.usable) + self._crew.starting))
