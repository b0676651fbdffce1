"""Rehearse preemptions: run a job on a local cluster while its nodes are reclaimed, and see what was lost."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, BinaryIO

from jobs.freezing import freeze
from jobs.jobfile.jobfile import Budget, JobFile
from jobs.jobfile.model import PerformanceEntry
from jobs.rehearsing.reclaiming import Done, Reclaimer
from jobs.rehearsing.reclaims import Replay, Script, TraceEvent, first_names, random_removals
from jobs.rehearsing.rehearsal_pace import pace_of_removals, pace_of_trace, pace_warnings
from jobs.rehearsing.survey import Survey, differing, survey
from jobs.submit import SubmitResult, submit
from jobs.wiring import open_store
from pipeline.errors import JobFileError
from pipeline.job import JobState
from pipeline.status import Status

STAND_IN = "synthetic"
"""The model of rehearsals, unless another one is named: tiny pictures, and a device that takes a set time."""

STAND_IN_SECONDS = "1"
"""For a batch of it, where nobody says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaims:
    """Which nodes there are, and when they are taken."""

    nodes: int = 4
    kill_every_seconds: float = 20.0
    """On average, where there is no trace."""
    trace: tuple[TraceEvent, ...] = ()
    """What happens instead; the cluster begins with the nodes that it names first."""
    notice_seconds: float = 0.0
    back_after_seconds: float = 10.0
    """How long a node stays away that no line of a trace brings back."""
    seed: int = 0

    def names(self) -> list[str]:
        """Of the nodes that the cluster begins with."""
        return first_names(self.trace, self.nodes) or [f"node {number + 1}" for number in range(self.nodes)]

    def replay(self) -> Replay:
        """From the beginning."""
        names = self.names()
        return Replay(
            script=Script(notice_seconds=self.notice_seconds, room=len(names), there=names),
            events=self.trace,
            removals=iter(()) if self.trace else random_removals(self.seed, every_seconds=self.kill_every_seconds),
            seed=self.seed,
            back_after_seconds=self.back_after_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What a rehearsal showed."""

    job: str
    state: JobState
    store: str
    """Where all of it lies; empty when it was removed at the end."""
    seed: int
    found: Survey
    undisturbed: Survey | None
    """The same job on the same nodes without reclaims, where that was asked for."""
    compared: int
    """Images of the same profile in both."""
    differing: int
    """Of them, those with other bytes."""
    overhead: float | None
    """Time over the ideal, in which reclaims cost nothing but the capacity that they take; None without any work."""
    ideal_seconds: float | None
    done: tuple[Done, ...]
    broken: tuple[str, ...]
    """Promises that were not kept."""
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0: every promise was kept; 1: one was not."""
        return 1 if self.broken else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told what meanwhile."""

    on_status: Callable[[Status], None] = field(default=lambda _status: None)
    on_warnings: Callable[[tuple[str, ...]], None] = field(default=lambda _warnings: None)
    on_done: Callable[[Done], None] = field(default=lambda _done: None)
    on_phase: Callable[[str], None] = field(default=lambda _text: None)


def rehearse(
    job_file: JobFile,
    reclaims: Reclaims,
    *,
    store: str | None = None,
    compare: bool = False,
    listeners: Listeners | None = None,
    stdin: BinaryIO | None = None,
) -> Rehearsed:
    """Run a job on a local cluster of several nodes while they are reclaimed, and survey what its store says then.

    Args:
        job_file: what to make; see `for_rehearsal`.
        reclaims: what happens to the nodes.
        store: a new store is made under this one and kept; None: in a folder that is gone when all is well.
        compare: run the job undisturbed before, and compare the pictures' bytes.
        listeners: told what happens.
        stdin: what a manifest `-` reads.

    Raises:
        UserError: something must be mended first; nothing was written.
        StoreUnavailableError: the store does not answer.
        KeyboardInterrupt: a Ctrl-C; everything that was started is gone.
    """
    from infra.compute.local_cluster import local_cluster

    told = listeners or Listeners()
    stdin = stdin or sys.stdin.buffer
    if compare and job_file.manifest == "-":
        raise JobFileError("--compare reads the manifest twice, and stdin can be read only once; give a path")
    if job_file.manifest != "-":
        with freeze(job_file, environ=os.environ, stdin=None):
            pass  # problems are told before a cluster is started
    told.on_warnings(_pace_warnings(job_file, reclaims))
    with _place(store) as place, local_cluster() as cluster:
        told.on_phase(f"starting {len(reclaims.names())} nodes on this machine")
        reclaimer = Reclaimer(cluster, reclaims.names(), notice_seconds=reclaims.notice_seconds, on_done=told.on_done)
        stage = _Stage(job_file, cluster.address, place, told, stdin)
        undisturbed = None
        if compare:
            told.on_phase("undisturbed, to compare with")
            undisturbed = stage.run("undisturbed", lambda _status: None)
            told.on_phase("with reclaims")
        with reclaimer.at_work(reclaims.replay()):
            result = stage.run("reclaims", lambda status: reclaimer.begin() if status.rendered_now else None)
        rehearsed = _rehearsed(reclaims, reclaimer, place, result, undisturbed)
        place.keep = place.keep or bool(rehearsed.broken)
        return rehearsed


def _pace_warnings(job_file: JobFile, reclaims: Reclaims) -> tuple[str, ...]:
    """What to say of reclaims that leave nodes little time. Raises: JobFileError: they leave hardly any."""
    nodes, options = len(reclaims.names()), job_file.model_options
    if reclaims.trace:
        return pace_warnings(pace_of_trace(reclaims.trace, nodes=nodes, options=options), ends=True)
    return pace_warnings(pace_of_removals(reclaims.kill_every_seconds, nodes=nodes, options=options), ends=False)


def for_rehearsal(job_file: JobFile, *, own_model: str | None, options: tuple[str, ...] = ()) -> JobFile:
    """The job as it is rehearsed: with a model that CPUs can render, on nodes of this machine, without limits.

    Args:
        job_file: as the user wrote it, with the rehearsal's model in the place of its own.
        own_model: the model that the file names; what it says of that one does not hold for another.
        options: names of the model's options that were given for the rehearsal.
    """
    changes: dict[str, Any] = {"nodes": (), "workers": None, "budget": Budget(), "deadline": None}
    chosen = dict(job_file.model_options)
    if job_file.model != own_model:
        chosen = {name: value for name, value in chosen.items() if name in options}
        changes |= {"precision": None, "performance": PerformanceEntry()}
        changes["defaults"] = job_file.defaults.model_copy(update={"scheduler": None, "loras": None})
    paced = {"seconds_per_batch": STAND_IN_SECONDS} if job_file.model == STAND_IN else {}
    changes["model_options"] = paced | chosen
    return job_file.model_copy(update=changes)


@dataclass(slots=True)
class _Place:
    """Where a rehearsal writes."""

    uri: str
    keep: bool


@contextmanager
def _place(store: str | None) -> Iterator[_Place]:
    """A store that nobody else writes to."""
    if store is not None:
        yield _Place(f"{store.rstrip('/')}/rehearsal-{datetime.now(UTC):%Y%m%d-%H%M%S}", keep=True)
        return
    place = _Place(tempfile.mkdtemp(prefix="spotrender-rehearsal-"), keep=False)
    try:
        yield place
    finally:
        if not place.keep:
            shutil.rmtree(place.uri, ignore_errors=True)


@dataclass(slots=True)
class _Stage:
    """One job, on one cluster, in several stores."""

    job_file: JobFile
    address: str
    place: _Place
    told: Listeners
    stdin: BinaryIO

    def run(self, folder: str, on_status: Callable[[Status], None]) -> SubmitResult:
        """Submit it as anyone would, with a store of its own. Raises: KeyboardInterrupt: the user paused it."""

        def both(status: Status) -> None:
            on_status(status)
            self.told.on_status(status)

        result = submit(
            self.job_file.model_copy(update={"store": f"{self.place.uri}/{folder}"}),
            address=self.address,
            on_status=both,
            on_warnings=self.told.on_warnings,
            stdin=self.stdin,
            nodes_are_meant=False,
        )
        if result.state is JobState.PAUSED:
            raise KeyboardInterrupt  # half a rehearsal says nothing
        return result


def _rehearsed(
    reclaims: Reclaims, reclaimer: Reclaimer, place: _Place, result: SubmitResult, undisturbed: SubmitResult | None
) -> Rehearsed:
    """What the stores say."""
    nodes = len(reclaims.names())
    found = survey(open_store(result.store), result.job, nodes_at_first=nodes)
    broken = list(found.broken)
    if result.state not in {JobState.SUCCEEDED, JobState.COMPLETED_WITH_FAILURES}:
        broken.insert(0, f"the job ended as {result.state.value}: {result.message}")
    before, compared, different = None, 0, 0
    if undisturbed is not None:
        there = open_store(undisturbed.store)
        before = survey(there, undisturbed.job, nodes_at_first=nodes)
        broken += [f"undisturbed: {line}" for line in before.broken]
        compared, different = differing(open_store(result.store), there, result.job)
        if different:
            broken.append(f"{different:,} of {compared:,} images have other bytes than in the undisturbed run")
    needed = before.capacity_gpu_seconds if before else found.work_gpu_seconds
    overhead = found.capacity_gpu_seconds / needed if needed and found.capacity_gpu_seconds else None
    return Rehearsed(
        job=result.job,
        state=result.state,
        store=place.uri if place.keep or broken else "",
        seed=reclaims.seed,
        found=found,
        undisturbed=before,
        compared=compared,
        differing=different,
        overhead=overhead,
        ideal_seconds=found.seconds / overhead if overhead else None,
        done=tuple(reclaimer.done),
        broken=tuple(broken),
        warnings=_warnings(found, reclaimer),
    )


def _warnings(found: Survey, reclaimer: Reclaimer) -> tuple[str, ...]:
    """What makes the figures say less than they seem to."""
    said = []
    if reclaimer.trouble:
        said.append(f"reclaims ended early: {reclaimer.trouble}")
    if not found.reclaims:
        said.append("no node was reclaimed while it rendered: take a longer manifest, or reclaim more often")
    return tuple(said)
