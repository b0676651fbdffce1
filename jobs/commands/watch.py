"""The commands that look and change nothing: status, list, wait, doctor."""

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.output import JobArgument, JsonOption, StoreOption, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.watching.display import Display
    from jobs.watching.status import JobView


def status(job: JobArgument, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show where a job stands."""
    from jobs.watching.status import read_view, view_to_json
    from jobs.watching.summary import view_text
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    seen = read_view(place, job, now=datetime.now(UTC))
    answer(view_to_json(seen), lambda: view_text(seen, place.uri), as_json=as_json)


def list_(
    *,
    store: StoreOption = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only jobs in this state, or SILENT; may be repeated.", metavar="STATE"),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Only jobs so called, such as 'cat-*'.", metavar="PATTERN")
    ] = None,
    owner: Annotated[
        list[str] | None, typer.Option("--owner", help="Only jobs of this owner; may be a pattern.", metavar="PATTERN")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", help="Only jobs with this label; every one of several.", metavar="NAME[=PATTERN]"),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Only jobs submitted since: 7d, 2w or 2026-11-14.", metavar="WHEN")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs of a store, the newest first."""
    from jobs.watching.list_filter import list_filter
    from jobs.watching.listing import list_jobs
    from jobs.watching.status import view, view_to_json
    from jobs.watching.summary import list_text
    from jobs.wiring import store_of

    place, now = store_of(store, os.environ), datetime.now(UTC)
    wanted = list_filter(states=state or (), names=name or (), owners=owner or (), tags=tag or (), since=since, now=now)
    views = [view(one.job, one.status, now=now, settings=one.settings) for one in list_jobs(place)]
    views = [seen for seen in views if wanted.takes(seen)]
    answer([view_to_json(seen) for seen in views], lambda: list_text(views, place.uri), as_json=as_json)


def wait(
    job: JobArgument,
    *,
    store: StoreOption = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Give up after so many seconds, with exit code 124.", metavar="SECONDS")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until a job has ended.

    Exit codes: as of submit, and 124 when the time is over first.
    """
    from jobs.watching.display import Display
    from jobs.watching.status import view_to_json
    from jobs.watching.summary import view_text
    from jobs.watching.wait import exit_code
    from jobs.watching.wait import wait as wait_for
    from jobs.wiring import store_of
    from pipeline.clock import SystemClock

    place = store_of(store, os.environ)
    with Display(sys.stderr, live=sys.stderr.isatty()) as display:
        seen = wait_for(place, job, clock=SystemClock(), timeout_seconds=timeout, on_view=_teller(display))
    answer(view_to_json(seen), lambda: view_text(seen, place.uri), as_json=as_json)
    raise typer.Exit(exit_code(seen))


def doctor(
    *,
    store: StoreOption = None,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster whose versions and devices to look at.", metavar="HOST:PORT")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Can this machine run a job?

    Looks at Python, torch, Ray, store, credentials, disk and cluster. Exit code 2 when something must be mended.
    """
    from jobs.doctor import examine, to_json, to_text, worst

    checks = examine(store_uri=store or os.environ.get("SPOTRENDER_STORE"), address=address, environ=os.environ)
    answer(to_json(checks), lambda: to_text(checks), as_json=as_json)
    raise typer.Exit(2 if worst(checks) == "fail" else 0)


def _teller(display: "Display") -> "Callable[[JobView], None]":
    """Shows each view of a job that is waited for."""

    def tell(seen: "JobView") -> None:
        if seen.status is None:
            display.say_once(f"{seen.job.id}: {seen.message}")
        else:
            display(replace(seen.status, message=seen.message))

    return tell
