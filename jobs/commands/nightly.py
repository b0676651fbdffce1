"""The commands of renders that come again: nightly run, next, list, install."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer

if TYPE_CHECKING:
    from jobs.nightly.nightly_file import NightlyFile

FileArgument = Annotated[str, typer.Argument(help="The nightly file (.yaml).", metavar="NIGHTLY.yaml")]
EachOption = Annotated[int, typer.Option("-n", min=1, max=100, help="So many of each entry.", metavar="N")]


def run(
    file: FileArgument,
    *,
    store: StoreOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the runs have ended.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start what is due, and resume jobs whose driver died; call it every few minutes.

    Two callers at once are harmless. Exit codes: 2 or 1 where an entry could not be looked at; with --wait also those
    of submit, the highest of the runs.
    """
    from jobs.nightly.processes import launcher
    from jobs.nightly.running import Caller, Told, exit_code, told_text
    from jobs.wiring import open_store
    from pipeline.clock import SystemClock

    nightly = _load(file, store)
    told: list[Told] = []

    def say(one: Told) -> None:
        told.append(one)
        typer.echo(told_text(one), err=as_json)

    launch = launcher(str(Path(file).resolve()), nightly, stays=wait)
    caller = Caller(
        nightly,
        open_store(nightly.store),
        launch=launch,
        now=lambda: datetime.now(UTC),
        clock=SystemClock(),
        say=say,
    )
    if wait:
        code = exit_code(caller.wait())
    else:
        caller.look()
        code = 0
    code = max(code, caller.exit_code)
    if as_json:
        answer({"did": [asdict(one) for one in told]}, lambda: "", as_json=True)
    raise typer.Exit(code)


def next_(file: FileArgument, *, each: EachOption = 3, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show what will run, and when."""
    from jobs.nightly.overview import coming_runs, coming_text

    runs = coming_runs(_load(file, store), now=datetime.now(UTC), each=each)
    answer([asdict(one) for one in runs], lambda: coming_text(runs), as_json=as_json)


def list_(file: FileArgument, *, each: EachOption = 20, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show what ran, with state, images and cost, and what was left out."""
    from jobs.nightly.overview import past_runs, past_text
    from jobs.wiring import open_store

    nightly = _load(file, store)
    runs = past_runs(nightly, open_store(nightly.store), each=each)
    answer([asdict(one) for one in runs], lambda: past_text(runs), as_json=as_json)


def install(
    file: FileArgument,
    *,
    cron: Annotated[bool, typer.Option("--cron", help="A line for crontab.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="A service and a timer.")] = False,
    kubernetes: Annotated[bool, typer.Option("--kubernetes", help="A CronJob.")] = False,
    store: StoreOption = None,
) -> None:
    """Print what calls `nightly run` every few minutes; installs nothing."""
    from jobs.nightly.units import UNITS
    from pipeline.errors import JobFileError

    chosen = [kind for kind, wanted in zip(UNITS, (cron, systemd, kubernetes), strict=True) if wanted]
    if len(chosen) != 1:
        raise JobFileError("say one of --cron, --systemd and --kubernetes")
    nightly = _load(file, store)
    program = "spotrender" if kubernetes else shutil.which("spotrender") or sys.argv[0]
    command = [program, "nightly", "run", str(Path(file).resolve()), "--store", nightly.store]
    typer.echo(UNITS[chosen[0]](command, str(Path.cwd())), nl=False)


def nightly_app(interruptible: Callable[[Callable[..., None]], Callable[..., None]]) -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Renders that come again by the clock.", rich_markup_mode=None)
    for name, command in (("run", run), ("next", next_), ("list", list_), ("install", install)):
        app.command(name)(interruptible(command))
    return app


def _load(file: str, store: str | None) -> "NightlyFile":
    """The nightly file; where it names no store, the environment does."""
    from jobs.nightly.nightly_file import load_nightly

    return load_nightly(file, store=store, fallback_store=os.environ.get("SPOTRENDER_STORE"))
