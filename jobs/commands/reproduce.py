"""The command that renders an image again from its own file: reproduce."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer
from jobs.commands.submit import AddressOption, ModelOption

EXIT_DIFFERENT = 3
"""The image that came out is another one."""


def reproduce(
    image: Annotated[Path, typer.Argument(help="A PNG, WebP or JPEG that Spotrender made.", metavar="IMAGE")],
    *,
    store: StoreOption = None,
    model: ModelOption = None,
    address: AddressOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Leave the new image here.", metavar="FILE")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Render an image again from what its file says, and compare.

    With --store the job that made it tells model, LoRAs and profile. Under the same profile the bits must agree, else
    the pictures must be the same to the eye. Exit codes: 0 they are, 3 they are not, 2 the file does not say what it
    was rendered from, or its model is not known.
    """
    from jobs.reproducing.reproduce import reproduce as render
    from jobs.reproducing.text import reproduced_text
    from jobs.watching.display import Display
    from jobs.wiring import store_of

    named = store or os.environ.get("SPOTRENDER_STORE")
    place = store_of(named, os.environ) if named else None
    with Display(sys.stderr, live=sys.stderr.isatty()) as display:
        result = render(image, store=place, model=model, address=address, output=output, on_status=display)
    values = asdict(result) | {"reproduced": result.reproduced}
    answer(values, lambda: reproduced_text(result), as_json=as_json)
    raise typer.Exit(0 if result.reproduced else EXIT_DIFFERENT)
