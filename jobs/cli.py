"""The command line: parses, calls one typed function of `jobs`, prints; loads nothing heavy before it must."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any

import typer

from jobs.commands.cluster import cluster_app
from jobs.commands.compare import compare
from jobs.commands.control import cancel, logs, pause, resume, retry, set_
from jobs.commands.delivery import deliver, download
from jobs.commands.diff import diff
from jobs.commands.gc import gc
from jobs.commands.gpus import fit, gpus
from jobs.commands.images import verify
from jobs.commands.models import models_app
from jobs.commands.nightly import nightly_app
from jobs.commands.output import complain
from jobs.commands.plan import plan
from jobs.commands.rehearse import rehearse
from jobs.commands.report import report
from jobs.commands.reproduce import reproduce
from jobs.commands.submit import submit, validate
from jobs.commands.watch import doctor, list_, status, wait
from jobs.console import EXIT_INTERRUPTED
from pipeline import __version__
from pipeline.errors import SpotrenderError, UserError

EXIT_UNEXPECTED = 1
EXIT_USER = 2


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """The command, whose interruption reaches `run`; typer alone would end with 130 and say nothing."""

    @wraps(command)
    def call(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as interrupt:
            raise typer.Abort from interrupt

    return call


app = typer.Typer(
    name="spotrender",
    no_args_is_help=True,
    help="Render prompt manifests on spot GPU nodes.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in (
    ("submit", submit),
    ("validate", validate),
    ("plan", plan),
    ("diff", diff),
    ("status", status),
    ("list", list_),
    ("wait", wait),
    ("logs", logs),
    ("pause", pause),
    ("resume", resume),
    ("cancel", cancel),
    ("retry", retry),
    ("set", set_),
    ("download", download),
    ("deliver", deliver),
    ("verify", verify),
    ("reproduce", reproduce),
    ("report", report),
    ("compare", compare),
    ("rehearse", rehearse),
    ("gpus", gpus),
    ("fit", fit),
    ("doctor", doctor),
    ("gc", gc),
):
    app.command(name)(_interruptible(command))
app.add_typer(nightly_app(_interruptible), name="nightly")
app.add_typer(cluster_app(_interruptible), name="cluster")
app.add_typer(models_app(_interruptible), name="models")


def _version(value: bool) -> None:
    """Print the version and end."""
    if value:
        typer.echo(f"spotrender {__version__}")
        raise typer.Exit


@app.callback()
def spotrender(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something unexpected happens.")] = False,
) -> None:
    """Render prompt manifests on spot GPU nodes."""


def run(arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run one command.

    Args:
        arguments: as after `spotrender`.
        debug: show a traceback when something unexpected happens.

    Returns:
        The exit code: 0, those of job states, 2 when the user must mend something, 130 after Ctrl-C, 1 otherwise.
    """
    as_json = "--json" in arguments
    debug = debug or "--debug" in arguments
    try:
        code = typer.main.get_command(app).main(
            list(arguments) or ["--help"], prog_name="spotrender", standalone_mode=False
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except typer.TyperException as error:
        complain(f"{error.format_message().rstrip('.')}; see spotrender --help", as_json=as_json)
        return EXIT_USER
    except UserError as error:
        complain(str(error), as_json=as_json)
        return EXIT_USER
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted", as_json=as_json)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
        return EXIT_UNEXPECTED
    except SpotrenderError as error:
        if debug:
            traceback.print_exc()
        complain(str(error), as_json=as_json)
        return EXIT_UNEXPECTED
    except Exception as error:  # noqa: BLE001  # the last net: nothing leaves as a bare traceback
        if debug:
            traceback.print_exc()
        complain(f"{type(error).__name__}: {error}", as_json=as_json)
        hint = "" if debug else "; spotrender --debug ... shows where"
        typer.echo(f"this is a bug in spotrender: please report it{hint}", err=True)
        return EXIT_UNEXPECTED


def _close_stdout() -> None:
    """Whoever read our output is gone: let nothing complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
