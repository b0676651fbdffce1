"""Work that nobody who is there can do: workers are replaced for it, models are given up, and at last images."""

from collections.abc import Callable

from pipeline.driving.crew import Crew
from pipeline.driving.drive_policy import DrivePolicy
from pipeline.driving.model_watch import ModelWatch
from pipeline.driving.standing import Standing
from pipeline.driving.workload import Workload


class Leftovers:
    """Looks after pieces that wait for a worker of another kind.

    Args:
        standing: the job.
        crew: who is there.
        work: what there is to do.
        models: which can be loaded.
        condemn: has a worker's process replaced.
    """

    def __init__(
        self,
        *,
        standing: Standing,
        crew: Crew,
        work: Workload,
        models: ModelWatch,
        condemn: Callable[[str, str], None],
    ) -> None:
        self._standing, self._crew, self._models, self._condemn = standing, crew, models, condemn
        self._work, self._handout, self._returns, self._retries = work, work.handout, work.returns, work.retries
        self._policy: DrivePolicy = standing.policy
        self._stranded_ns: int | None = None
        self._given_up = 0

    def look(self, now_ns: int) -> str:
        """See to what waits in vain; gives why the job must stop, empty while it can go on."""
        if len(self._models.given_up) > self._given_up:
            self._given_up = len(self._models.given_up)
            self._returns.give_up_tasks(lambda task: self._standing.model_of(task) in self._models.given_up)
        if self._models.given_up and not (self._work.busy or len(self._handout.queue)):
            reasons = "; ".join(f"{model}: {message}" for model, message in self._models.given_up.items())
            return f"the model cannot be loaded: {reasons}"
        self._see_to_avoided(now_ns)
        self._see_to_stranded(now_ns)
        return ""

    def _see_to_avoided(self, now_ns: int) -> None:
        """Replace a worker where a piece has to run in a fresh process and there is none; one at a time."""
        for piece in self._handout.queue.returned(now_ns):
            worker = self._crew.to_replace(piece, idle=lambda name: not self._handout.has_work(name))
            if worker is not None:
                self._condemn(worker, "an image that failed here is tried in a fresh process")

    def _see_to_stranded(self, now_ns: int) -> None:
        """Record images that fit on no node there is, when nothing else is left and none of another type came."""
        waiting = [piece for piece in self._handout.queue.returned(now_ns) if piece.avoid_types]
        others = len(self._handout.queue) > len(waiting) or self._handout.busy or self._crew.starting
        hope = any(self._crew.may_have(worker, piece) for worker in self._crew.usable for piece in waiting)
        if not waiting or others or hope:
            self._stranded_ns = None
            return
        self._stranded_ns = self._stranded_ns or now_ns
        if now_ns - self._stranded_ns > self._policy.elsewhere_seconds * 1e9:
            for piece in waiting:
                self._handout.queue.remove(piece)
                self._returns.record(piece.task, self._retries.too_large(piece))
