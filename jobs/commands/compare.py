"""The command that renders the same prompts under several performance profiles: compare."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer, warn
from jobs.commands.submit import (
    AddressOption,
    BatchOption,
    ImagesOption,
    LocationArgument,
    ModelOption,
    NameOption,
    PrecisionOption,
    SetOption,
    WorkersOption,
    load_job,
)

ProfilesOption = Annotated[
    str, typer.Option(help="Two or more of plain, safe, fast, max; the first is the measure.", metavar="A,B,...")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the images side by side here.", metavar="FILE.html")
]


def compare(
    location: LocationArgument,
    *,
    profiles: ProfilesOption = "safe,fast,max",
    output: OutputOption = None,
    model: ModelOption = None,
    store: StoreOption = None,
    name: NameOption = None,
    settings: SetOption = None,
    images_per_prompt: ImagesOption = None,
    workers: WorkersOption = None,
    batch_size: BatchOption = None,
    precision: PrecisionOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Render the same prompts under several performance profiles.

    Shows images per second, dollars per image, memory, and how far the pictures are apart (PSNR, SSIM). The images are
    committed like any others, so a second call renders nothing.
    """
    from jobs.comparing.compare import compare as render
    from jobs.comparing.compare_sheet import sheet
    from jobs.comparing.compare_table import compared_text
    from jobs.watching.display import Display

    job_file = load_job(
        location,
        model=model,
        store=store,
        name=name,
        settings=settings,
        images_per_prompt=images_per_prompt,
        workers=workers,
        batch_size=batch_size,
        precision=precision,
    )
    with Display(sys.stderr, live=sys.stderr.isatty()) as display:
        found = render(job_file, profiles.split(","), address=address, on_status=display)
    for row in found.profiles:
        warn(row.warnings)
    if output is not None:
        output.write_text(sheet(found), encoding="utf-8")
    answer(found, lambda: compared_text(found, output), as_json=as_json)
    raise typer.Exit(next((row.state.exit_code for row in found.profiles if row.state.exit_code), 0))
