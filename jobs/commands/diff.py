"""The command that compares two jobs before anything is rendered: diff."""

from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer
from jobs.commands.submit import ImagesOption, ModelOption, NameOption, SetOption, ShowOption, load_job

if TYPE_CHECKING:
    from jobs.jobfile.jobfile import JobFile

SideArgument = Annotated[
    str, typer.Argument(help="A job file, a manifest, or a job of the store: its id or name.", show_default=False)
]


def diff(
    old: SideArgument,
    new: SideArgument,
    *,
    model: ModelOption = None,
    store: StoreOption = None,
    name: NameOption = None,
    settings: SetOption = None,
    images_per_prompt: ImagesOption = None,
    show: ShowOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say what NEW would render that OLD did not, what it drops, and what that would cost; write nothing.

    The options hold for those of the two that are files. The cost is what such images have cost in this store so far.
    """
    from jobs.diffing import difference
    from jobs.watching.summary import difference_text

    def load(location: str) -> "JobFile":
        return load_job(
            location,
            model=model,
            store=store,
            name=name,
            settings=settings,
            images_per_prompt=images_per_prompt,
        )

    found = difference(old, new, load=load, store=store, show=show)
    answer(found, lambda: difference_text(found), as_json=as_json)
