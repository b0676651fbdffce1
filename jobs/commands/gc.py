"""The command that looks after a store: gc."""

import os
import shlex
from typing import Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer


def gc(
    *,
    store: StoreOption = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            help="Images of jobs that ended before so long may go, such as 90d, where the job says nothing itself.",
            metavar="TIME",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help="A job whose images stay whatever it says; may be repeated.", metavar="JOB"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; else it is only shown.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what of a store nobody needs any more and what it costs a month; remove it with --yes.

    That are images that no job within its retention names, records of ended jobs (they are packed), expired leases.
    """
    from jobs.gc import clean_up, look_over, rules_of
    from jobs.gc_text import looked_text, plan_text, removed_text
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    rules = rules_of(place, older_than=older_than, keep=keep or ())
    if yes:
        done = clean_up(
            place,
            rules,
            show=lambda plan: typer.echo(plan_text(plan), err=as_json),
            say=lambda text: typer.echo(text, err=True),
        )
        answer(done, lambda: removed_text(done), as_json=as_json)
        return
    options = [("--older-than", older_than), *(("--keep", job) for job in keep or ())]
    given = "".join(f" {name} {shlex.quote(text)}" for name, text in options if text)
    found = look_over(place, rules)
    answer(found, lambda: looked_text(found, given), as_json=as_json)
