"""The commands that take a job file or a manifest: submit, validate."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer, warn

if TYPE_CHECKING:
    from decimal import Decimal

    from jobs.jobfile.jobfile import JobFile
    from jobs.planning.pilot import Piloted
    from jobs.submit import SubmitResult

LocationArgument = Annotated[
    str,
    typer.Argument(
        help="A job file (.yaml), or a manifest: a path, s3://..., or - for stdin.", metavar="JOB.yaml|MANIFEST"
    ),
]
ModelOption = Annotated[
    str | None, typer.Option(help="A profile, or a diffusers repository, folder or file.", metavar="NAME")
]
NameOption = Annotated[str | None, typer.Option(help="The job's name; else the manifest's.", metavar="NAME")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A default or any key of a job file, such as width=768 or output.format=webp.",
        metavar="KEY=VALUE",
    ),
]
ImagesOption = Annotated[
    int | None,
    typer.Option("--images-per-prompt", help="Images of each prompt, with seeds seed, seed+1, ...", metavar="N"),
]
WorkersOption = Annotated[int | None, typer.Option(help="At most so many workers.", metavar="N")]
BatchOption = Annotated[
    str | None, typer.Option(help="Images that go through the GPU together; auto: what is fastest.", metavar="N")
]
PrecisionOption = Annotated[str | None, typer.Option(help="fp32, fp16 or bf16.", metavar="P")]
AddressOption = Annotated[
    str | None, typer.Option(help="An existing Ray cluster; else this machine.", metavar="HOST:PORT")
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Let the cluster at --address http://HOST:8265 drive the job, and return.")
]
PilotOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000,
        help="First render N images on each type of node, say what the rest will cost, and go on within the limits.",
        metavar="N",
    ),
]
MostOption = Annotated[
    str | None,
    typer.Option(help="With --pilot: stop (exit 4) where an image is expected to cost more.", metavar="USD"),
]

ShowOption = Annotated[
    int,
    typer.Option(min=0, max=10_000, help="Print the first N requests, templates and sweep written out.", metavar="N"),
]

CostOption = Annotated[
    bool, typer.Option("--cost", help="Ask the store what of it is there, and what such images have cost so far.")
]


def submit(
    location: LocationArgument,
    *,
    model: ModelOption = None,
    store: StoreOption = None,
    name: NameOption = None,
    settings: SetOption = None,
    images_per_prompt: ImagesOption = None,
    workers: WorkersOption = None,
    batch_size: BatchOption = None,
    precision: PrecisionOption = None,
    address: AddressOption = None,
    detach: DetachOption = False,
    pilot: PilotOption = None,
    max_usd_per_image: MostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a job, or resume it.

    Every image that is missing is rendered, and nothing twice. Ctrl-C once stops after the batches in flight.
    A job that is being driven elsewhere gets these settings and is followed; its driver dead, this one takes over.

    Exit codes: 0 every image is there, 3 some failed, 4 stopped (budget, deadline), 5 canceled, 2 something to mend,
    130 interrupted.
    """
    from jobs.planning.pilot import submit_with_pilot
    from jobs.submit import submit as run_job
    from jobs.watching.display import Display

    most = _most(max_usd_per_image, pilot=pilot, detach=detach)
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
    piloted = None
    with Display(sys.stderr, live=sys.stderr.isatty()) as display:
        display.say_once(f"reading {location}")
        if pilot is None:
            result = run_job(
                job_file,
                address=address,
                on_status=display,
                on_warnings=display.warn,
                say=display.note,
                detach=detach,
            )
        else:
            piloted = submit_with_pilot(
                job_file,
                images=pilot,
                max_usd_per_image=most,
                address=address,
                on_status=display,
                on_warnings=display.warn,
                say=display.note,
            )
            result = piloted.result
    answer(result, lambda: _ended_text(result, piloted), as_json=as_json)
    raise typer.Exit(result.state.exit_code)


def _ended_text(result: "SubmitResult", piloted: "Piloted | None") -> str:
    """How the job stands; one that was only quoted is not there yet."""
    from jobs.reporting.report import short_report
    from jobs.watching.summary import quoted_text, submitted_text

    if piloted is not None and piloted.quoted:
        return quoted_text(result)
    return submitted_text(result, short_report(result.store, result.job))


def _most(text: str | None, *, pilot: int | None, detach: bool) -> "Decimal | None":
    """The most that an image may be expected to cost. Raises: JobFileError: none, or what does not go together."""
    from jobs.prices.node_offers import price_of
    from pipeline.errors import JobFileError

    if pilot is not None and detach:
        raise JobFileError("--pilot: waits for its images, so it does not go with --detach; leave one of them out")
    if text is None:
        return None
    if pilot is None:
        raise JobFileError("--max-usd-per-image: only with --pilot N; or budget: {usd_per_image: ...} in the job file")
    return price_of(text, "--max-usd-per-image")


def validate(
    location: LocationArgument,
    *,
    model: ModelOption = None,
    store: StoreOption = None,
    name: NameOption = None,
    settings: SetOption = None,
    images_per_prompt: ImagesOption = None,
    workers: WorkersOption = None,
    batch_size: BatchOption = None,
    precision: PrecisionOption = None,
    show: ShowOption = 0,
    cost: CostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check a job; write nothing.

    Tells every problem of the job file and of the manifest with its line, and how many images it would make.
    """
    from jobs.submit import validate as check
    from jobs.watching.summary import validated_text

    found = check(
        load_job(
            location,
            model=model,
            store=store,
            name=name,
            settings=settings,
            images_per_prompt=images_per_prompt,
            workers=workers,
            batch_size=batch_size,
            precision=precision,
        ),
        show=show,
        cost=cost,
    )
    warn(found.warnings)
    answer(found, lambda: validated_text(found), as_json=as_json)


def load_job(
    location: str,
    *,
    model: str | None,
    store: str | None,
    name: str | None,
    settings: list[str] | None,
    images_per_prompt: int | None,
    workers: int | None = None,
    batch_size: str | None = None,
    precision: str | None = None,
) -> "JobFile":
    """The job file that the arguments describe."""
    from jobs.jobfile.loading import Options, load

    options = Options(
        model=model,
        store=store,
        name=name,
        images_per_prompt=images_per_prompt,
        workers=workers,
        batch_size=batch_size,
        precision=precision,
        assignments=tuple(settings or ()),
    )
    return load(location, options, fallback_store=os.environ.get("SPOTRENDER_STORE"))
