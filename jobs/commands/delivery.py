"""The commands that hand a job's images over: download, deliver."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.output import JobArgument, JsonOption, StoreOption, answer

EXIT_UNSOUND = 3
"""Something is missing or damaged, or not done yet."""

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="Custom ids to fetch, such as 'cat-*'; may be repeated.", metavar="PATTERN"),
]
StateOption = Annotated[
    str | None, typer.Option("--state", help="Only images of this outcome: rendered or reused.", metavar="OUTCOME")
]
TagOption = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only images with this tag, such as campaign=autumn or size=x*; may be repeated."),
]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many images.", metavar="N")]
NamesOption = Annotated[
    str | None,
    typer.Option(
        "--names",
        help="Names such as '{tag:campaign}/{custom_id}-{seed}.{ext}'; also {n}, {row}, {image_id}, {prompt}.",
        metavar="TEMPLATE",
    ),
]
LinksOption = Annotated[
    str | None,
    typer.Option("--links", help="Put links into the index that live so long, 7d at most.", metavar="DURATION"),
]


def download(
    job: JobArgument,
    *,
    to: Annotated[Path, typer.Option("--to", help="The folder to put them in.", metavar="FOLDER")],
    store: StoreOption = None,
    only: OnlyOption = None,
    state: StateOption = None,
    tag: TagOption = None,
    limit: LimitOption = None,
    names: NamesOption = None,
    links: LinksOption = None,
    index_only: Annotated[bool, typer.Option("--index-only", help="Leave the images where they are.")] = False,
    sheet: Annotated[
        str | None,
        typer.Option(
            "--sheet",
            help="Make contact sheets too: prompt, or axes such as seed or steps,guidance_scale (down, across).",
            metavar="AXES",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a job's images.

    Files are named by the custom ids of the manifest, and index.csv and index.parquet list them. Again fetches only
    what is missing.
    """
    from jobs.delivery.download import download as fetch
    from jobs.delivery.handing_over import Order, links_for
    from jobs.delivery.selection import Selection, tags_of
    from jobs.delivery.table import handed_text, plan_text
    from jobs.durations import parse_duration
    from jobs.watching.counter import Counter
    from jobs.watching.listing import find_job, read_job
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    selection = Selection(patterns=tuple(only or ()), outcome=state, tags=tags_of(tag or ()), limit=limit)
    seconds = None if links is None else parse_duration(links, place="--links")
    until = links_for(seconds, now=datetime.now(UTC))
    order = Order(selection=selection, names=names or "", links=until, index_only=index_only)
    found = read_job(place, find_job(place, job))
    with Counter(sys.stderr, "fetched", live=sys.stderr.isatty()) as counter:
        result = fetch(
            place,
            found,
            folder=to,
            order=order,
            on_survey=lambda seen: typer.echo(plan_text(seen, place.uri, str(to), order, os.environ), err=True),
            on_progress=counter,
            sheet=sheet,
        )
    answer(result, lambda: handed_text(result, result.job, result.folder, sheets=result.sheets), as_json=as_json)
    raise typer.Exit(EXIT_UNSOUND if result.bad else 0)


def deliver(
    job: JobArgument,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", help="s3://bucket/prefix or a folder; else what the job file says.", metavar="URI"),
    ] = None,
    store: StoreOption = None,
    only: OnlyOption = None,
    state: StateOption = None,
    tag: TagOption = None,
    limit: LimitOption = None,
    names: NamesOption = None,
    links: LinksOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a job's images to another prefix or bucket.

    As `deliver:` in the job file does at the job's end; again copies only what is missing. Within one S3 service
    nothing passes through this machine. Exit code 3: something is missing in the store, or damaged.
    """
    from jobs.delivery.delivering import deliver as hand
    from jobs.delivery.delivering import remember, wanted_of
    from jobs.delivery.handing_over import Order
    from jobs.delivery.selection import Selection, tags_of
    from jobs.delivery.table import handed_text, plan_text
    from jobs.watching.counter import Counter
    from jobs.watching.listing import find_job, read_job
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    selection = Selection(patterns=tuple(only or ()), outcome=state, tags=tags_of(tag or ()), limit=limit)
    found = read_job(place, find_job(place, job))
    wanted, ordered = wanted_of(place, found, to=to, names=names, links=links)
    with Counter(sys.stderr, "delivered", live=sys.stderr.isatty()) as counter:
        result = hand(
            place,
            found,
            wanted,
            selection=selection,
            on_survey=lambda seen: typer.echo(plan_text(seen, place.uri, wanted["to"], Order(), os.environ), err=True),
            on_progress=counter,
        )
    if ordered and selection == Selection() and not result.bad:
        remember(place, found, wanted, result)
    answer(result, lambda: handed_text(result, result.job, result.to), as_json=as_json)
    raise typer.Exit(EXIT_UNSOUND if result.bad else 0)
