"""The commands of clusters: cluster render."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer, warn
from jobs.commands.submit import LocationArgument, ModelOption, NameOption, SetOption, load_job


def render(
    location: LocationArgument,
    *,
    target: Annotated[str, typer.Option(help="The kind of cluster: aws, kubernetes, runpod, bare.", metavar="NAME")],
    to: Annotated[
        str | None, typer.Option("--to", help="Write the files here; else write nothing.", metavar="FOLDER")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--with", help="A setting of the cluster.", metavar="KEY=VALUE")
    ] = None,
    nodes: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most so many nodes, where the job names none.", metavar="N")
    ] = 1,
    model: ModelOption = None,
    store: StoreOption = None,
    name: NameOption = None,
    settings: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a cluster for the job would be and cost an hour at most; with --to, write its files.

    Starts nothing. The files are made from the job's nodes, or where it names none from the plan's choice.
    """
    from jobs.cluster.options import pairs
    from jobs.cluster.rendering import render as make
    from jobs.cluster.rendering import write, written
    from jobs.cluster.rendering_text import rendered_text

    job_file = load_job(location, model=model, store=store, name=name, settings=settings, images_per_prompt=None)
    found, files = make(job_file, target, options=pairs(options or ()), environ=os.environ, nodes=nodes)
    if to is not None:
        write(files, Path(to))
        found = written(found, to)
    warn(found.notes)
    answer(found, lambda: rendered_text(found), as_json=as_json)


def cluster_app(interruptible: Callable[[Callable[..., None]], Callable[..., None]]) -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Cluster files from a job.", rich_markup_mode=None)
    app.command("render")(interruptible(render))

    @app.callback()
    def group() -> None:
        """Cluster files from a job."""

    return app
