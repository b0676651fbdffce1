"""The command that looks after a job's images: verify."""

import os
import sys
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from jobs.commands.output import JobArgument, JsonOption, StoreOption, answer

EXIT_UNSOUND = 3
"""Something is missing or damaged."""


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
    from jobs.verify import verify as look
    from jobs.verify import void
    from jobs.watching.counter import Counter
    from jobs.watching.status import read_view
    from jobs.watching.summary import verified_text
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
