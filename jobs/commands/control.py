"""The commands that change what a job does, from anywhere: pause, resume, cancel, retry, set, logs."""

import os
import sys
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.output import JobArgument, JsonOption, StoreOption, answer, to_json
from jobs.commands.submit import AddressOption, DetachOption, WorkersOption

if TYPE_CHECKING:
    from jobs.watching.logs import Line

CauseOption = Annotated[
    list[str] | None,
    typer.Option("--cause", help="Only failures of this cause, such as BAD_OUTPUT; may be repeated.", metavar="CAUSE"),
]
SettingsArgument = Annotated[
    list[str],
    typer.Argument(
        help="budget.usd=30, budget.usd_per_image=0.01, deadline=INSTANT, workers=N, nodes='[{type: ..., max: 4}]',"
        " on_rebalance=leave, store_outage_seconds=1800 or notify=.",
        metavar="KEY=VALUE...",
    ),
]


def pause(job: JobArgument, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Let a job wait: its driver finishes the batches in flight and lets the workers go.

    The driver stays and waits; resume goes on within seconds.
    """
    from jobs.controlling import pause as ask
    from jobs.watching.display import Display
    from jobs.watching.summary import asked_text
    from jobs.wiring import store_of
    from pipeline.clock import SystemClock

    place = store_of(store, os.environ)
    with Display(sys.stderr, live=False) as display:
        asked = ask(place, job, clock=SystemClock(), say=display.note)
    answer(asked, lambda: asked_text(asked, place.uri), as_json=as_json)


def cancel(job: JobArgument, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """End a job after the batches in flight; what is there stays, and submit or resume go on."""
    from jobs.controlling import cancel as ask
    from jobs.watching.display import Display
    from jobs.watching.summary import asked_text
    from jobs.wiring import store_of
    from pipeline.clock import SystemClock

    place = store_of(store, os.environ)
    with Display(sys.stderr, live=False) as display:
        asked = ask(place, job, clock=SystemClock(), say=display.note)
    answer(asked, lambda: asked_text(asked, place.uri), as_json=as_json)


def resume(
    job: JobArgument,
    *,
    store: StoreOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    detach: DetachOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a paused, stopped or canceled job go on.

    A driver that waits goes on within seconds. Without one the job is driven from here, with the exit codes of submit.
    """
    from jobs.controlling import Asked
    from jobs.reporting.report import short_report
    from jobs.resuming import resume as go_on
    from jobs.watching.display import Display
    from jobs.watching.summary import asked_text, submitted_text
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    with Display(sys.stderr, live=sys.stderr.isatty()) as display:
        result = go_on(place, job, address=address, workers=workers, detach=detach, on_status=display, say=display.note)
    if isinstance(result, Asked):
        answer(result, lambda: asked_text(result, place.uri), as_json=as_json)
        return
    answer(result, lambda: submitted_text(result, short_report(result.store, result.job)), as_json=as_json)
    raise typer.Exit(result.state.exit_code)


def retry(
    job: JobArgument,
    *,
    store: StoreOption = None,
    cause: CauseOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    detach: DetachOption = False,
    as_json: JsonOption = False,
) -> None:
    """Render the images of a job that failed once more, and only those.

    The job is driven from here, with the exit codes of submit. Without failed images nothing is done.
    """
    from jobs.reporting.report import short_report
    from jobs.resuming import retry as try_again
    from jobs.watching.display import Display
    from jobs.watching.summary import submitted_text
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    with Display(sys.stderr, live=sys.stderr.isatty()) as display:
        result = try_again(
            place,
            job,
            causes=tuple(cause or ()),
            attempt=f"retry{uuid.uuid4().hex}",
            address=address,
            workers=workers,
            detach=detach,
            on_status=display,
            say=display.note,
        )
    answer(result, lambda: submitted_text(result, short_report(result.store, result.job)), as_json=as_json)
    raise typer.Exit(result.state.exit_code)


def set_(
    job: JobArgument, settings: SettingsArgument, *, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """Change the nodes, budget, deadline or patience of a job; a running driver takes them up within seconds.

    Written as in a job file. An empty value takes a limit away. Submitting the edited job file does the same.
    """
    from jobs.changing import change
    from jobs.watching.summary import changed_text
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    changed = change(place, job, settings, environ=os.environ)
    answer(changed, lambda: changed_text(changed), as_json=as_json)


def logs(
    job: JobArgument,
    *,
    store: StoreOption = None,
    task: Annotated[str, typer.Option(help="Only of this task, such as t0000012.")] = "",
    attempt: Annotated[str, typer.Option(help="Only of this attempt.")] = "",
    node: Annotated[str, typer.Option(help="Only of this node session; `driver` for the drivers' own lines.")] = "",
    worker: Annotated[str, typer.Option(help="Only of this worker; the end of its name will do.")] = "",
    level: Annotated[
        str, typer.Option(help="Only so grave or graver: debug, info, warning, error.", metavar="LEVEL")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print what the drivers and workers of a job logged, also when their machines are gone.

    A worker's routine (each batch) is shown where a place or --level debug is named. With --follow and --json one
    JSON document a line.
    """
    from jobs.watching.logs import follow_log, line_text, read_log, wanted
    from jobs.wiring import store_of
    from pipeline.clock import SystemClock

    place = store_of(store, os.environ)

    def show(line: "Line") -> None:
        typer.echo(to_json(line, indent=None) if as_json else line_text(line))

    which = wanted(task=task, attempt=attempt, node=node, worker=worker, level=level)
    if follow:
        follow_log(place, job, clock=SystemClock(), on_line=show, which=which)
    elif as_json:
        typer.echo(to_json(list(read_log(place, job, which))))
    else:
        for line in read_log(place, job, which):
            show(line)
