"""The command that prices a job before it is rendered: plan."""

from typing import Annotated

import typer

from jobs.commands.output import JsonOption, StoreOption, answer, warn
from jobs.commands.submit import (
    BatchOption,
    ImagesOption,
    LocationArgument,
    ModelOption,
    NameOption,
    PrecisionOption,
    SetOption,
    load_job,
)


def plan(
    location: LocationArgument,
    *,
    model: ModelOption = None,
    store: StoreOption = None,
    name: NameOption = None,
    settings: SetOption = None,
    images_per_prompt: ImagesOption = None,
    batch_size: BatchOption = None,
    precision: PrecisionOption = None,
    nodes: Annotated[
        int, typer.Option(min=1, max=10_000, help="So many nodes of each type, where the job names none.", metavar="N")
    ] = 1,
    compare: Annotated[
        bool, typer.Option("--compare", help="Also other ways: by the second, by the image, a card of one's own.")
    ] = False,
    usd_per_kwh: Annotated[
        str | None, typer.Option(help="Electricity for a card of one's own, with --compare.", metavar="USD")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a job would cost on each type of node, and how long it would take; write nothing.

    Figures rest on what this store has measured; else on what others published, scaled by arithmetic; else on the peak
    of the card. Each says which.
    """
    from jobs.planning.alternatives import USD_PER_KWH
    from jobs.planning.plan_table import plan_text
    from jobs.planning.planning import plan_job
    from jobs.prices.node_offers import price_of

    found = plan_job(
        load_job(
            location,
            model=model,
            store=store,
            name=name,
            settings=settings,
            images_per_prompt=images_per_prompt,
            batch_size=batch_size,
            precision=precision,
        ),
        nodes=nodes,
        compare=compare,
        usd_per_kwh=USD_PER_KWH if usd_per_kwh is None else price_of(usd_per_kwh, "--usd-per-kwh"),
    )
    warn(found.notes)
    answer(found, lambda: plan_text(found), as_json=as_json)
