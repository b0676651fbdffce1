"""The command that rehearses preemptions."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.output import JsonOption, answer
from jobs.commands.submit import BatchOption, LocationArgument, SetOption

if TYPE_CHECKING:
    from jobs.jobfile.jobfile import JobFile
    from jobs.rehearsing.rehearse import Reclaims

_MOST_NODES = 64


def rehearse(
    location: LocationArgument,
    *,
    trace: Annotated[
        str | None,
        typer.Option(help="Replay these reclaims: lines of milliseconds,add|remove,node.", metavar="FILE"),
    ] = None,
    kill_every: Annotated[
        str | None, typer.Option(help="Without a trace: take a random node so often, on average.", metavar="TIME")
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, max=_MOST_NODES, help="Nodes of the local cluster.", metavar="N")] = 4,
    notice: Annotated[
        str, typer.Option(help="Announce a node so long before it is taken: 120s, 30s, 0s.", metavar="TIME")
    ] = "0s",
    back_after: Annotated[
        str, typer.Option(help="A node that was taken comes back so much later.", metavar="TIME")
    ] = "10s",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other nodes at other instants.", metavar="N")] = 0,
    speed: Annotated[float | None, typer.Option(help="Replay the trace so many times as fast.", metavar="X")] = None,
    model: Annotated[
        str,
        typer.Option(help="synthetic, a stand-in; or one for CPUs, such as shapes.", metavar="NAME"),
    ] = "synthetic",
    store: Annotated[
        str | None, typer.Option(help="Keep everything in a new store under this one.", metavar="URI")
    ] = None,
    settings: SetOption = None,
    batch_size: BatchOption = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Run it undisturbed before, and compare time and bytes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a job on a local cluster while nodes are reclaimed.

    The job's own nodes, budget, deadline and store are left alone: a Ray cluster of CPU nodes is started on this
    machine, and the job is submitted to it as to any other. Nodes are killed with all of their processes, and others
    come. What the table says is read from the job's records and ledger alone.

    Ideal time: the GPU-seconds that the job takes undisturbed, divided by the GPUs that were really there on average
    (of all node sessions, until the last batch). An overhead of 1 means that reclaims cost only the capacity that they
    took; the rest are lost batches, starting nodes and waiting. Undisturbed is what --compare measures, else the job's
    own rendering and the start of its first nodes.

    Exit codes: 0 every promise was kept, 1 one was not (an image missing, counted twice, other bytes than undisturbed,
    books that do not balance), 2 something to mend, 130 interrupted.
    """
    from jobs.rehearsing.rehearsal_table import done_text, rehearsed_text
    from jobs.rehearsing.rehearse import Listeners
    from jobs.rehearsing.rehearse import rehearse as run_rehearsal
    from jobs.watching.display import Display

    reclaims = _reclaims(
        trace=trace,
        kill_every=kill_every,
        nodes=nodes,
        notice=notice,
        back_after=back_after,
        seed=seed,
        speed=speed,
    )
    job_file = _job(location, model=model, settings=settings, batch_size=batch_size)
    with Display(sys.stderr, live=sys.stderr.isatty()) as display:
        listeners = Listeners(
            on_status=display,
            on_warnings=display.warn,
            on_done=lambda done: display.note(done_text(done)),
            on_phase=display.note,
        )
        result = run_rehearsal(job_file, reclaims, store=store, compare=compare, listeners=listeners)
        display.warn(result.warnings)
    answer(result, lambda: rehearsed_text(result), as_json=as_json)
    raise typer.Exit(result.exit_code)


def _reclaims(
    *,
    trace: str | None,
    kill_every: str | None,
    nodes: int,
    notice: str,
    back_after: str,
    seed: int,
    speed: float | None,
) -> "Reclaims":
    """What the options ask for. Raises: JobFileError: they make no sense."""
    from jobs.durations import parse_duration
    from jobs.rehearsing.reclaims import read_trace
    from jobs.rehearsing.rehearse import Reclaims
    from pipeline.errors import JobFileError

    if trace is not None and kill_every is not None:
        raise JobFileError("--trace, --kill-every: a rehearsal has either; leave one out")
    if speed is not None and trace is None:
        raise JobFileError("--speed: only a trace can be sped up; say --trace FILE, or another --kill-every")
    if speed is not None and not 0.001 <= speed <= 1_000_000:
        raise JobFileError(f"--speed: must be from 0.001 to 1000000, got {speed:g}")
    return Reclaims(
        nodes=nodes,
        kill_every_seconds=parse_duration(kill_every or "20s", place="--kill-every", least_seconds=0.5),
        trace=read_trace(Path(trace).expanduser(), speed=speed or 1.0) if trace is not None else (),
        notice_seconds=parse_duration(notice, place="--notice"),
        back_after_seconds=parse_duration(back_after, place="--back-after"),
        seed=seed,
    )


def _job(location: str, *, model: str, settings: list[str] | None, batch_size: str | None) -> "JobFile":
    """The job, as it is rehearsed."""
    from jobs.jobfile.loading import Options, load
    from jobs.rehearsing.rehearse import for_rehearsal
    from pipeline.errors import JobFileError

    given = tuple(settings or ())
    options = Options(model=model, batch_size=batch_size, assignments=given)
    names = tuple(one.partition("=")[0].strip().partition(".")[2] for one in given if one.startswith("model_options."))
    job_file = load(location, options, fallback_store=os.curdir)
    try:
        own_model = load(location, Options(assignments=given), fallback_store=os.curdir).model
    except JobFileError:
        own_model = None  # a manifest names no model
    return for_rehearsal(job_file, own_model=own_model, options=names)
