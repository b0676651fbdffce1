"""The commands that look after a job's images: download, verify."""

import os
import sys
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from jobs.cli_output import JobArgument, JsonOption, StoreOption, answer

EXIT_UNSOUND = 3
"""Something is missing or damaged."""


def download(
    job: JobArgument,
    *,
    to: Annotated[Path, typer.Option("--to", help="The folder to put them in.", metavar="FOLDER")],
    store: StoreOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Custom ids to fetch, such as 'cat-*'; may be repeated.", metavar="PATTERN"),
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only images of this outcome: rendered or reused.", metavar="OUTCOME")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many images.", metavar="N")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a job's images.

    Files are named by the custom ids of the manifest, and index.csv lists them. Again fetches only what is missing.
    """
    from jobs.counter import Counter
    from jobs.download import Selection
    from jobs.download import download as fetch
    from jobs.price_files import egress_note
    from jobs.status import read_view
    from jobs.summary import downloaded_text
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    selection = Selection(patterns=tuple(only or ()), outcome=state, limit=limit)
    seen = read_view(place, job, now=datetime.now(UTC))
    if seen.status is not None and (note := egress_note(place.uri, seen.status.storage.bytes_stored, os.environ)):
        typer.echo(note, err=True)
    with Counter(sys.stderr, "fetched", live=sys.stderr.isatty()) as counter:
        result = fetch(place, seen.job, folder=to, selection=selection, on_progress=counter)
    answer(result, lambda: downloaded_text(result), as_json=as_json)
    raise typer.Exit(EXIT_UNSOUND if result.bad else 0)


def verify(
    job: JobArgument,
    *,
    store: StoreOption = None,
    quick: Annotated[bool, typer.Option("--quick", help="Look at existence and size only.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Take bad images back, so that submit renders them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a job's images.

    Every image that the job's records name must exist, have the right hash, and decode. Exit code 3 when one does not.
    """
    from jobs.counter import Counter
    from jobs.status import read_view
    from jobs.summary import verified_text
    from jobs.verify import verify as look
    from jobs.verify import void
    from jobs.wiring import store_of

    place = store_of(store, os.environ)
    now = datetime.now(UTC)
    seen = read_view(place, job, now=now)
    with Counter(sys.stderr, "checked", live=sys.stderr.isatty()) as counter:
        result = look(place, seen, quick=quick, on_progress=counter)
    voided = void(place, seen, result.findings, attempt=f"repair{uuid.uuid4().hex}", now=now) if repair else ()
    answer(
        asdict(result) | {"sound": result.sound, "voided": voided},
        lambda: verified_text(result, place.uri, voided=voided),
        as_json=as_json,
    )
    raise typer.Exit(0 if result.sound else EXIT_UNSOUND)
