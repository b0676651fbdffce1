"""The command that shows what is known of GPUs: gpus."""

from typing import Annotated

import typer

from jobs.cli_output import JsonOption, answer

CardsOption = Annotated[
    str | None,
    typer.Option("--gpu", help="Cards by name, or by memory: L4, 'RTX 4090', 24GB..80GB.", metavar="GPU,..."),
]


def gpus(
    *,
    model: Annotated[str | None, typer.Option(help="Show images per hour and $/image of this model.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(help="name, vram, bandwidth, fp16, fp8, watts, year, price, images-per-hour or usd-per-image."),
    ] = None,
    gpu: CardsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is known of GPUs: memory, speed, prices, and what an image of a model costs on each."""
    from jobs.gpus import list_cards
    from jobs.gpus_table import cards_text

    found = list_cards(model, sort=sort, gpu=gpu)
    answer(found, lambda: cards_text(found), as_json=as_json)
