"""The commands that keep models in a store: models push, list, rm."""

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer

ModelArgument = Annotated[
    str, typer.Argument(help="A model profile, a hub repository (org/name) or a diffusers folder.", metavar="MODEL")
]


def push(
    model: ModelArgument,
    *,
    store: StoreOption = None,
    name: Annotated[str | None, typer.Option("--name", help="What a folder is called in the store.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub repository.")] = None,
    variant: Annotated[str | None, typer.Option(help="Which set of weights, such as fp16.")] = None,
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Take pickled weights too.")] = False,
    allow_remote_code: Annotated[bool, typer.Option("--allow-remote-code", help="Take Python code too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a model into the store, so that workers load it from there and never ask the hub.

    Jobs submitted from then on use the revision that was pushed last. Interrupted, the same line goes on.
    """
    from jobs.models_text import pushed_text
    from jobs.pushing import push as copy
    from jobs.watching.counter import Counter
    from jobs.wiring import store_of

    options = {
        "revision": revision,
        "variant": variant,
        "allow_pickle": allow_pickle or None,
        "allow_remote_code": allow_remote_code or None,
    }
    with Counter(sys.stderr, "pushed", unit="MiB", per=1 << 20, live=sys.stderr.isatty()) as counter:
        result = copy(store_of(store, os.environ), model, name=name, options=options, on_progress=counter)
    answer(result, lambda: pushed_text(result), as_json=as_json)


def list_(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show the models that the store holds."""
    from jobs.models_text import list_text, listed_models
    from jobs.wiring import store_of
    from pipeline.pushed_models import list_weights

    place = store_of(store, os.environ)
    found = listed_models(list_weights(place))
    answer({"store": place.uri, "models": found}, lambda: list_text(found, place.uri), as_json=as_json)


def rm(
    model: Annotated[str, typer.Argument(help="A name that `models list` shows, or a profile.", metavar="MODEL")],
    *,
    store: StoreOption = None,
    revision: Annotated[
        str | None, typer.Option(help="Only the revision whose commit or hash begins so; else all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a model out of the store; jobs that were submitted with it cannot go on without it.

    Its files go with the next clean-up, unless other models share them.
    """
    from jobs.models_text import listed_models, removed_text
    from jobs.pushing import take_out
    from jobs.wiring import store_of

    gone = listed_models(take_out(store_of(store, os.environ), model, revision=revision))
    answer({"removed": gone}, lambda: removed_text(gone), as_json=as_json)


def models_app(interruptible: Callable[[Callable[..., None]], Callable[..., None]]) -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(no_args_is_help=True, help="Weights in the store.", rich_markup_mode=None)
    for name, command in (("push", push), ("list", list_), ("rm", rm)):
        app.command(name)(interruptible(command))
    return app
